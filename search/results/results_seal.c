#include "results/results_seal.h"

#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const char head[] = "\nvidur-search SHA-256 ";
enum {
    HEAD = sizeof head - 1,
    SEAL = HEAD + VIDUR_SHA256_HEX
}; /* ends with a newline */

static void make_seal(const char *bytes, size_t size, char seal[SEAL + 1])
{
    struct vidur_sha256 sha;
    char hex[VIDUR_SHA256_HEX];
    vidur_sha256_init(&sha);
    vidur_sha256_add(&sha, bytes, size);
    vidur_sha256_hex(&sha, hex);
    snprintf(seal, SEAL + 1, "%s%s\n", head, hex);
}

char *results_seal(void *bytes, size_t *size)
{
    char *grown = realloc(bytes, *size + SEAL + 1);
    if (!grown) {
        free(bytes);
        return NULL;
    }
    make_seal(grown, *size, grown + *size);
    *size += SEAL;
    return grown;
}

/* Is there the beginning of a seal whose end was cut off? */
static bool has_cut_seal(const char *bytes, size_t size)
{
    for (size_t left = HEAD; left < SEAL && left <= size; left++)
        if (memcmp(bytes + size - left, head, HEAD) == 0)
            return true;
    return false;
}

enum results_seal results_check_seal(const char *bytes, size_t *size)
{
    char seal[SEAL + 1];
    if (*size < SEAL || memcmp(bytes + *size - SEAL, head, HEAD) != 0)
        return has_cut_seal(bytes, *size) ? RESULTS_SEAL_BROKEN : RESULTS_NOT_SEALED;
    make_seal(bytes, *size - SEAL, seal);
    if (memcmp(bytes + *size - SEAL, seal, SEAL) != 0)
        return RESULTS_SEAL_BROKEN;
    *size -= SEAL;
    return RESULTS_SEALED;
}

/* ---- a child ---- */

static void restrict_child(unsigned limit_s)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    const int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        signal(signals[i], SIG_DFL); /* a handler would tell of the crash */
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    setrlimit(RLIMIT_CPU, &(struct rlimit){limit_s, limit_s});
}

int results_try_in_child(void (*run)(void *context), void *context, unsigned limit_s)
{
    const pid_t child = fork();
    if (child < 0)
        return -1;
    if (child == 0) {
        restrict_child(limit_s);
        run(context);
        _Exit(0); /* the child, not the program */
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
