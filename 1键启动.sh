#!/bin/sh
# 一键启动：与 ./start.sh 相同，参数原样传递。
exec "$(dirname "$(readlink -f "$0")")/start.sh" "$@"
