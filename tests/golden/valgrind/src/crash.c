#include <stdlib.h>
#include <string.h>
#include <valgrind/valgrind.h>
__attribute__((noinline)) void deref(volatile int*p){ *p=1; }
__attribute__((noinline)) void lose(void){ char *p = malloc(500); memset(p,1,500); }
int main(int c,char**v){ VALGRIND_PRINTF("leakgrid test-begin t.py%%3A%%3Acrash\n"); lose(); if(c>1) abort(); deref(0); return 0; }
