// Performs a table of system calls in a child made with clone3(CLONE_VM). See ../laid.py for the
// layout. Uses no stack and nothing outside the table, so it runs wherever it is; and no register
// that the caller would miss.
.globl entry
entry:
  mov x9, x0                    // the table
  ldr x0, [x9]
  ldr x1, [x9, 8]
  mov x8, 435                   // clone3
  svc 0
  cbz x0, child
  ret
child:
  ldr x10, [x9, 16]             // the call
next:
  ldr w11, [x10, 64]            // its flags
  ldr x0, [x10, 8]
  tbz w11, 0, 1f
  ldr x0, [x0]
1:
  ldr x1, [x10, 16]
  tbz w11, 1, 1f
  ldr x1, [x1]
1:
  ldr x2, [x10, 24]
  tbz w11, 2, 1f
  ldr x2, [x2]
1:
  ldr x3, [x10, 32]
  tbz w11, 3, 1f
  ldr x3, [x3]
1:
  ldr x4, [x10, 40]
  tbz w11, 4, 1f
  ldr x4, [x4]
1:
  ldr x5, [x10, 48]
  tbz w11, 5, 1f
  ldr x5, [x5]
1:
  ldr x8, [x10]
  tbnz x8, 63, store            // no call: the first argument is the result
  svc 0
store:
  str x0, [x10, 56]
  cmn x0, 4095
  b.cs error
  ldr x12, [x10, 88]
  cbz x12, advance
  tbz w11, 8, jump
  cbz x0, advance
jump:
  mov x10, x12
  b next
advance:
  add x10, x10, 96
  b next
error:
  neg x0, x0
  cmp x0, 63
  csel x13, x0, xzr, ls
  ldr x12, [x10, 72]
  lsr x12, x12, x13
  tbnz x12, 0, tolerated
  tbnz w11, 9, advance
  str x10, [x9, 24]
  str x0, [x9, 32]
  ldr x10, [x9, 40]
  str xzr, [x9, 40]
  cbnz x10, next
  mov x0, 127
  mov x8, 94                    // exit_group
  svc 0
  brk 0
tolerated:
  ldr x12, [x10, 80]
  cbnz x12, jump
  b advance
