// Waits for the end of its input, and ends.
.globl entry
entry:
  mov x0, 0
  sub x1, sp, 16
  mov x2, 1
  mov x8, 63                    // read
  svc 0
  mov x0, 0
  mov x8, 94                    // exit_group
  svc 0
