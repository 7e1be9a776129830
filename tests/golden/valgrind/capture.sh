#!/bin/sh
# Writes the samples again: sh capture.sh DIRECTORY (needs gcc, g++, Valgrind with its headers).
# Machine paths become /build/x. The numbers that the tests expect are those of the kept samples.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "$1" && cd "$1" && pwd)
work=$(mktemp -d)
cp "$here"/src/* "$work"
cd "$work"
gcc -g -O0 -w -c kinds.c && g++ -g -O0 -c mismatch.cpp
gcc -o kinds kinds.o mismatch.o -lstdc++ -lpthread
for name in crash fork killed; do gcc -g -O0 -w -o "$name" "$name.c"; done
memcheck="valgrind --leak-check=full --show-leak-kinds=all --track-origins=yes --track-fds=yes
  --num-callers=6 --xml=yes"
odd=$(printf 'bad\377\001byte')
$memcheck --suppressions=kinds.supp --xml-file=kinds.xml ./kinds 'a <b> & c' "$odd" 2>kinds.log || :
for how in segv abort; do
  $memcheck --xml-file=$how.xml ./crash $([ $how = segv ] || echo $how) 2>$how.log || :
done
$memcheck --xml-file=killed.xml ./killed 2>killed.log &
until grep -q 't.py::killed' killed.xml 2>/dev/null; do sleep 0.2; done
kill -9 $! && wait $! || :
$memcheck -q --xml-file=fork.%p.xml ./fork 2>fork.log
$memcheck -q --xml-file=two-in-one.xml --log-file=ignored.%p.log ./fork
for file in *.xml *.log; do
  case $file in ignored*) continue ;; esac
  LC_ALL=C sed "s|$work|/build/x|g" "$file" >"$out/$file"
done
rm -r "$work"
