// The small init: runs "program -- command arguments", forwards signals, reaps, and ends as the
// command did. A whole static program; `small_init.py` puts a header before it.
.globl entry
entry:
  mov x19, sp                   // argc, argv, NULL, environment
  // block all signals that can be forwarded
  sub sp, sp, 256
  mov x0, -1
  str x0, [sp]
  mov x0, 0                     // SIG_BLOCK
  mov x1, sp
  add x2, sp, 8                 // what was blocked before, for the command
  mov x3, 8
  mov x8, 135                   // rt_sigprocmask
  svc 0
  // find the command: after our own name and an optional "--"
  ldr x20, [x19]                // argc
  add x21, x19, 16              // argv + 1
  subs x20, x20, 1
  b.le fail
  ldr x0, [x21]
  ldrb w1, [x0]
  cmp w1, '-'
  b.ne 1f
  ldrb w1, [x0, 1]
  cmp w1, '-'
  b.ne 1f
  ldrb w1, [x0, 2]
  cbnz w1, 1f
  add x21, x21, 8
  subs x20, x20, 1
  b.le fail
1:
  add x22, x21, x20, lsl 3
  add x22, x22, 8               // the environment
  mov x0, 17                    // SIGCHLD
  mov x1, 0
  mov x2, 0
  mov x3, 0
  mov x4, 0
  mov x8, 220                   // clone, as fork
  svc 0
  cmp x0, 0
  b.lt fail
  b.eq command
  mov x23, x0                   // the command's pid
wait_signal:
  mov x0, sp                    // every signal
  add x1, sp, 64                // siginfo, 128 bytes
  mov x2, 0
  mov x3, 8
  mov x8, 137                   // rt_sigtimedwait
  svc 0
  cmp w0, 0
  b.lt wait_signal
  cmp w0, 17                    // SIGCHLD
  b.eq reap
  mov x1, x0
  mov x0, x23
  mov x8, 129                   // kill
  svc 0
  b wait_signal
reap:
  mov x0, -1
  add x1, sp, 16
  mov x2, 1                     // WNOHANG
  mov x3, 0
  mov x8, 260                   // wait4
  svc 0
  cmp x0, 0
  b.le wait_signal
  cmp x0, x23
  b.ne reap
  ldr w1, [sp, 16]
  ands w0, w1, 127
  b.eq 1f
  add w0, w0, 128               // killed by a signal
  b leave
1:
  ubfx w0, w1, 8, 8
leave:
  mov x8, 94                    // exit_group
  svc 0
command:
  // a process group of its own, in the foreground of the terminal if there is one
  mov x0, 0
  mov x1, 0
  mov x8, 154                   // setpgid
  svc 0
  mov x8, 172                   // getpid
  svc 0
  str w0, [sp, 24]
  mov x0, 0
  mov x1, 0x5410                // TIOCSPGRP
  add x2, sp, 24
  mov x8, 29                    // ioctl; SIGTTOU is blocked
  svc 0
  mov x0, 2                     // SIG_SETMASK
  add x1, sp, 8
  mov x2, 0
  mov x3, 8
  mov x8, 135
  svc 0
  // a name with a slash is a path
  ldr x24, [x21]
  mov x1, x24
1:
  ldrb w0, [x1], 1
  cmp w0, '/'
  b.eq direct
  cbnz w0, 1b
  // else look in every folder of PATH
  mov x25, x22
next_variable:
  ldr x1, [x25], 8
  cbz x1, not_found
  ldrb w3, [x1]                 // word for word: what follows may be another page
  cmp w3, 'P'
  b.ne next_variable
  ldrb w3, [x1, 1]
  cmp w3, 'A'
  b.ne next_variable
  ldrb w3, [x1, 2]
  cmp w3, 'T'
  b.ne next_variable
  ldrb w3, [x1, 3]
  cmp w3, 'H'
  b.ne next_variable
  ldrb w3, [x1, 4]
  cmp w3, '='
  b.ne next_variable
  add x25, x1, 5
  sub sp, sp, 4096
  sub sp, sp, 4096
next_folder:
  ldrb w0, [x25]
  cbz w0, not_found
  mov x4, sp
  add x5, sp, 4095
1:
  ldrb w0, [x25]
  cbz w0, 3f
  add x25, x25, 1
  cmp w0, ':'
  b.eq 3f
  cmp x4, x5
  b.hs 1b
  strb w0, [x4], 1
  b 1b
3:
  mov w0, '/'
  strb w0, [x4], 1
  mov x6, x24
  add x5, sp, 4095
  add x5, x5, 4095
4:
  ldrb w0, [x6], 1
  strb w0, [x4], 1
  cmp x4, x5
  b.hs not_found
  cbnz w0, 4b
  mov x0, sp
  mov x1, x21
  mov x2, x22
  mov x8, 221                   // execve
  svc 0
  cmn w0, 2                     // ENOENT
  b.eq next_folder
  cmn w0, 20                    // ENOTDIR
  b.eq next_folder
  cmn w0, 13                    // EACCES
  b.eq next_folder
  b not_run
direct:
  mov x0, x24
  mov x1, x21
  mov x2, x22
  mov x8, 221
  svc 0
  cmn w0, 2
  b.eq not_found
not_run:
  mov w20, 126
  adr x25, text_refused
  mov x26, text_refused_end - text_refused
  b say
not_found:
  mov w20, 127
  adr x25, text_absent
  mov x26, text_absent_end - text_absent
say:
  adr x1, text_before
  mov x2, text_before_end - text_before
  bl write
  mov x1, x24
  mov x2, 0
1:
  ldrb w3, [x1, x2]
  cbz w3, 2f
  add x2, x2, 1
  b 1b
2:
  bl write
  mov x1, x25
  mov x2, x26
  bl write
  mov w0, w20
  b leave
fail:
  mov x0, 1
  b leave
write:
  mov x0, 2
  mov x8, 64
  svc 0
  ret
text_before: .ascii "exec "
text_before_end:
text_absent: .ascii ": no such file or directory\n"
text_absent_end:
text_refused: .ascii ": cannot be executed\n"
text_refused_end:
