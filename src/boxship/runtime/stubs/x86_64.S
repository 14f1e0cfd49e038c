# Performs a table of system calls in a child made with clone3(CLONE_VM). See ../table.py for the
# layout. Uses no stack after the clone and nothing outside the table, so it runs wherever it is.
.intel_syntax noprefix
.globl entry
entry:
  push rbx
  push rbp
  mov rbp, rdi
  mov rdi, [rbp]
  mov rsi, [rbp+8]
  mov eax, 435
  syscall
  test rax, rax
  jz child
  pop rbp
  pop rbx
  ret
child:
  mov rbx, [rbp+16]
next:
  mov ecx, [rbx+64]
  mov rdi, [rbx+8]
  test cl, 1
  jz 1f
  mov rdi, [rdi]
1:
  mov rsi, [rbx+16]
  test cl, 2
  jz 1f
  mov rsi, [rsi]
1:
  mov rdx, [rbx+24]
  test cl, 4
  jz 1f
  mov rdx, [rdx]
1:
  mov r10, [rbx+32]
  test cl, 8
  jz 1f
  mov r10, [r10]
1:
  mov r8, [rbx+40]
  test cl, 16
  jz 1f
  mov r8, [r8]
1:
  mov r9, [rbx+48]
  test cl, 32
  jz 1f
  mov r9, [r9]
1:
  mov rax, [rbx]
  test rax, rax
  js value
  syscall
  jmp store
value:
  mov rax, rdi
store:
  mov [rbx+56], rax
  cmp rax, -4095
  jae error
  mov rcx, [rbx+88]
  test rcx, rcx
  jz advance
  test byte ptr [rbx+65], 1
  jz jump
  test rax, rax
  jz advance
jump:
  mov rbx, rcx
  jmp next
advance:
  add rbx, 96
  jmp next
error:
  neg rax
  mov rdx, rax
  cmp rdx, 63
  jbe 1f
  xor edx, edx
1:
  mov rcx, [rbx+72]
  bt rcx, rdx
  jc tolerated
  test byte ptr [rbx+65], 2
  jnz advance
  mov [rbp+24], rbx
  mov [rbp+32], rax
  mov rbx, [rbp+40]
  mov qword ptr [rbp+40], 0
  test rbx, rbx
  jnz next
  mov edi, 127
  mov eax, 231
  syscall
  hlt
tolerated:
  mov rcx, [rbx+80]
  test rcx, rcx
  jnz jump
  jmp advance
