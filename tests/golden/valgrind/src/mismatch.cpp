#include <stdlib.h>
extern "C" __attribute__((noinline)) void mismatch(void){ char*p=new char[20]; asm volatile(""::"r"(p):"memory"); free(p); }
