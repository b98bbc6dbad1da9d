#include "base/version.h"

#include "vidur_git.h"

const char *vidur_version(void)
{
    return VIDUR_VERSION;
}

const char *vidur_git_commit(void)
{
    return VIDUR_GIT_COMMIT;
}

#define STRING_OF(x) #x
#define STRING(x)    STRING_OF(x)

const char *vidur_compiler(void)
{
#if defined(__clang__)
    return "clang " __clang_version__;
#elif defined(__GNUC__)
    return "gcc " STRING(__GNUC__) "." STRING(__GNUC_MINOR__) "." STRING(
        __GNUC_PATCHLEVEL__);
#else
    return "unknown";
#endif
}

const char *vidur_libraries(void)
{
    return VIDUR_LIBRARIES;
}
