# The small init: runs "program -- command arguments", forwards signals, reaps, and ends as the
# command did. A whole static program; `small_init.py` puts a header before it.
.intel_syntax noprefix
.globl entry
entry:
  mov rbp, rsp                  # argc, argv, NULL, environment
  # block all signals that can be forwarded
  sub rsp, 256
  mov qword ptr [rsp], -1
  mov edi, 0                    # SIG_BLOCK
  mov rsi, rsp
  lea rdx, [rsp+8]              # what was blocked before, for the command
  mov r10d, 8
  mov eax, 14                   # rt_sigprocmask
  syscall
  # find the command: after our own name and an optional "--"
  mov r12, [rbp]                # argc
  lea r13, [rbp+16]             # argv + 1
  dec r12
  jle usage
  mov rax, [r13]
  cmp byte ptr [rax], 45        # '-'
  jne 1f
  cmp byte ptr [rax+1], 45
  jne 1f
  cmp byte ptr [rax+2], 0
  jne 1f
  add r13, 8
  dec r12
  jle usage
1:
  lea r14, [r13+r12*8+8]        # the environment
  mov eax, 57                   # fork
  syscall
  test rax, rax
  js fail
  jz command
  mov r15, rax                  # the command's pid
wait_signal:
  lea rdi, [rsp]                # every signal
  lea rsi, [rsp+64]             # siginfo, 128 bytes
  xor edx, edx
  mov r10d, 8
  mov eax, 128                  # rt_sigtimedwait
  syscall
  test eax, eax
  js wait_signal
  cmp eax, 17                   # SIGCHLD
  je reap
  mov esi, eax
  mov rdi, r15
  mov eax, 62                   # kill
  syscall
  jmp wait_signal
reap:
  mov rdi, -1
  lea rsi, [rsp+16]
  mov edx, 1                    # WNOHANG
  xor r10d, r10d
  mov eax, 61                   # wait4
  syscall
  test rax, rax
  jle wait_signal
  cmp rax, r15
  jne reap
  mov eax, [rsp+16]
  mov edi, eax
  and edi, 127
  jz 1f
  add edi, 128                  # killed by a signal
  jmp leave
1:
  movzx edi, ah
leave:
  mov eax, 231                  # exit_group
  syscall
command:
  # a process group of its own, in the foreground of the terminal if there is one
  xor edi, edi
  xor esi, esi
  mov eax, 109                  # setpgid
  syscall
  mov eax, 39                   # getpid
  syscall
  mov [rsp+24], eax
  xor edi, edi
  mov esi, 0x5410               # TIOCSPGRP
  lea rdx, [rsp+24]
  mov eax, 16                   # ioctl; SIGTTOU is blocked
  syscall
  mov edi, 2                    # SIG_SETMASK
  lea rsi, [rsp+8]
  xor edx, edx
  mov r10d, 8
  mov eax, 14
  syscall
  # a name with a slash is a path
  mov rsi, [r13]
  mov rcx, rsi
1:
  mov al, [rcx]
  inc rcx
  cmp al, 47
  je direct
  test al, al
  jnz 1b
  # else look in every folder of PATH
  mov rbx, r14
next_variable:
  mov rcx, [rbx]
  add rbx, 8
  test rcx, rcx
  jz not_found
  cmp dword ptr [rcx], 0x48544150   # "PATH"
  jne next_variable
  cmp byte ptr [rcx+4], 61          # '='
  jne next_variable
  lea rbx, [rcx+5]
  sub rsp, 8192
next_folder:
  cmp byte ptr [rbx], 0
  je not_found
  mov rdi, rsp
  lea r8, [rsp+4096]
1:
  mov al, [rbx]
  test al, al
  jz 3f
  inc rbx
  cmp al, 58                    # ':'
  je 3f
  cmp rdi, r8
  jae 1b
  mov [rdi], al
  inc rdi
  jmp 1b
3:
  mov byte ptr [rdi], 47
  inc rdi
  mov rsi, [r13]
  lea r8, [rsp+8190]
4:
  mov al, [rsi]
  mov [rdi], al
  inc rsi
  inc rdi
  cmp rdi, r8
  jae not_found
  test al, al
  jnz 4b
  mov rdi, rsp
  mov rsi, r13
  mov rdx, r14
  mov eax, 59                   # execve
  syscall
  cmp eax, -2                   # ENOENT
  je next_folder
  cmp eax, -20                  # ENOTDIR
  je next_folder
  cmp eax, -13                  # EACCES
  je next_folder
  jmp not_run
direct:
  mov rdi, rsi
  mov rsi, r13
  mov rdx, r14
  mov eax, 59
  syscall
  cmp eax, -2
  je not_found
not_run:
  mov r15d, 126
  lea rsi, [rip+text_refused]
  mov edx, offset text_refused_end - text_refused
  jmp say
not_found:
  mov r15d, 127
  lea rsi, [rip+text_absent]
  mov edx, offset text_absent_end - text_absent
say:
  mov r12, rsi
  mov r14, rdx
  lea rsi, [rip+text_before]
  mov edx, offset text_before_end - text_before
  call write
  mov rsi, [r13]
  xor edx, edx
1:
  cmp byte ptr [rsi+rdx], 0
  je 2f
  inc rdx
  jmp 1b
2:
  call write
  mov rsi, r12
  mov rdx, r14
  call write
  mov edi, r15d
  mov eax, 231
  syscall
usage:
fail:
  mov edi, 1
  mov eax, 231
  syscall
write:
  mov edi, 2
  mov eax, 1
  syscall
  ret
text_before: .ascii "exec "
text_before_end:
text_absent: .ascii ": no such file or directory\n"
text_absent_end:
text_refused: .ascii ": cannot be executed\n"
text_refused_end:
