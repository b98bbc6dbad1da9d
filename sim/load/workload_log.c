#include "load/workload_state.h"

#include <stdio.h>

static size_t add(char *out, size_t size, size_t used, int64_t count, const char *what)
{
    if (count <= 0 || used >= size)
        return used;
    return used + (size_t)snprintf(out + used, size - used, "%s%lld %s",
                                   used ? "; " : "", (long long)count, what);
}

void vidur_workload_describe_log(const struct vidur_workload *workload, char *out,
                                 size_t size)
{
    size_t used = 0;
    out[0] = 0;
    used = add(out, size, used, workload->num_failed,
               "failed or without output, and left out");
    used = add(out, size, used, workload->num_unsorted,
               "out of order, and sorted by time");
    if (workload->characters_per_token > 0 && used < size)
        used += (size_t)snprintf(out + used, size - used,
                                 "%slengths estimated at %g characters a token",
                                 used ? "; " : "", workload->characters_per_token);
    char pauses[128] = "";
    if (workload->sessions.count > 0)
        vidur_sessions_describe_pauses(&workload->state->config.sessions, pauses,
                                       sizeof pauses);
    if (pauses[0] && used < size)
        snprintf(out + used, size - used, "%spauses between turns: %s",
                 used ? "; " : "", pauses);
}
