# Waits for the end of its input, and ends.
.intel_syntax noprefix
.globl entry
entry:
  xor eax, eax                  # read
  xor edi, edi
  lea rsi, [rsp-8]
  mov edx, 1
  syscall
  xor edi, edi
  mov eax, 231                  # exit_group
  syscall
