# Writes vidur_git.h: the version and the commit that is being built. Run at every build;
# the file changes, and its one user is compiled again, only when the commit does.
cmake_minimum_required(VERSION 3.21)

execute_process(
  COMMAND git --no-optional-locks -C ${SOURCE_DIR} rev-parse --short=12 HEAD
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
if(status EQUAL 0)
  execute_process(
    COMMAND git --no-optional-locks -C ${SOURCE_DIR} diff --quiet HEAD --
    ERROR_QUIET RESULT_VARIABLE dirty)
  if(NOT dirty EQUAL 0)
    string(APPEND commit "-dirty")
  endif()
else()
  set(commit "unknown")
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
#ifndef VIDUR_GIT_H
#define VIDUR_GIT_H
#define VIDUR_VERSION    "@VERSION@"
#define VIDUR_GIT_COMMIT "@commit@"
#endif
]])
