# cmake -D OUTPUT=FILE.c -D "ASSETS=NAME=PATH;..." -P embed.cmake
# Writes a C file that holds the files' bytes; see report_assets.h.
set(text "#include \"report/report_assets.h\"\n\n#include <string.h>\n\n")
set(table "")
set(index 0)
foreach(asset IN LISTS ASSETS)
  string(REGEX MATCH "^([^=]+)=(.+)$" unused "${asset}")
  set(name "${CMAKE_MATCH_1}")
  set(path "${CMAKE_MATCH_2}")
  file(READ "${path}" hex HEX)
  # 16 bytes a line
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))" "\\1\n" bytes "${bytes}")
  string(APPEND text "static const unsigned char asset_${index}[] = {\n${bytes}0};\n\n")
  string(APPEND table "    {\"${name}\", asset_${index}, sizeof asset_${index} - 1},\n")
  math(EXPR index "${index} + 1")
endforeach()
string(APPEND text "static const struct vidur_asset assets[] = {\n${table}};\n
const struct vidur_asset *vidur_report_asset(const char *name)
{
    for (size_t i = 0; i < sizeof assets / sizeof assets[0]; i++)
        if (strcmp(assets[i].name, name) == 0)
            return &assets[i];
    return NULL;
}\n")
file(WRITE "${OUTPUT}" "${text}")
