#!/usr/bin/env bash
# Installs a build into a temporary prefix and builds a program against its CMake package.
#   package.sh BUILD
set -euo pipefail
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/prefix" >/dev/null
mkdir "$work/user"
cat >"$work/user/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.21)
project(user C)
find_package(vidur-search REQUIRED)
add_executable(user main.c)
target_link_libraries(user PRIVATE vidur::vidur_search)
CMAKE
cat >"$work/user/main.c" <<'C'
#include <vidur/model.h>

#include <stdio.h>

int main(void)
{
    struct vidur_model_spec model;
    struct vidur_error err;
    if (vidur_model_load(&model, "meta-llama/Llama-2-7b-hf", &err)) {
        puts(err.text);
        return 1;
    }
    return model.num_layers == 32 ? 0 : 1;
}
C
cmake -S "$work/user" -B "$work/user/build" -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/user/build" >/dev/null
(cd / && "$work/user/build/user")

mkdir "$work/cpp"
sed -e 's/user C)/user CXX)/' -e 's/main\.c/main.cpp/' "$work/user/CMakeLists.txt" >"$work/cpp/CMakeLists.txt"
{ echo 'extern "C" {'; sed -e '/#include <vidur/a }' "$work/user/main.c"; } >"$work/cpp/main.cpp"
cmake -S "$work/cpp" -B "$work/cpp/build" -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/cpp/build" >/dev/null
(cd / && "$work/cpp/build/user")

for program in estimate simulate search report; do
    "$work/prefix/bin/vidur-$program" --version >/dev/null
    grep -q "^vidur.-$program .- " "$work/prefix/share/man/man1/vidur-$program.1"
done
echo "the package of $build serves a program outside the tree"
