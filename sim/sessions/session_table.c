#include "sessions/sessions.h"

#include <stdlib.h>
#include <string.h>

static int grow(void **array, int64_t count, size_t size, struct vidur_error *err)
{
    void *more = realloc(*array, (size_t)count * size);
    if (!more)
        return vidur_fail(err, VIDUR_ENOMEM, "workload: out of memory for sessions");
    *array = more;
    return 0;
}

static int reserve(struct vidur_session_table *table, int64_t requests,
                   int32_t sessions, struct vidur_error *err)
{
    if (requests > table->request_capacity) {
        const int64_t n = 2 * requests;
        if (grow((void **)&table->session, n, sizeof(int32_t), err) ||
            grow((void **)&table->turn, n, sizeof(int32_t), err) ||
            grow((void **)&table->conversation, n, sizeof(int32_t), err) ||
            grow((void **)&table->shared_tokens, n, sizeof(int32_t), err) ||
            grow((void **)&table->think_s, n, sizeof(double), err))
            return -1;
        table->request_capacity = n;
    }
    if (sessions > table->session_capacity) {
        const int32_t n = 2 * sessions;
        if (grow((void **)&table->group, n, sizeof(int32_t), err))
            return -1;
        table->session_capacity = n;
    }
    return 0;
}

int vidur_session_table_add(struct vidur_session_table *table,
                            const struct vidur_session_plan *plan, int64_t count,
                            int32_t group, struct vidur_error *err)
{
    if (reserve(table, table->num_requests + count, table->num_sessions + 1, err))
        return -1;
    int32_t last = 0;
    for (int64_t i = 0; i < count; i++) {
        const struct vidur_session_request *request = &plan->requests[i];
        const int64_t at = table->num_requests++;
        last = request->conversation;
        table->session[at] = table->num_sessions;
        table->turn[at] = request->turn;
        table->conversation[at] = table->num_conversations + last;
        table->shared_tokens[at] = request->shared_tokens;
        table->think_s[at] = request->think_s;
    }
    table->num_conversations += last + 1;
    table->num_shortened += plan->is_shortened;
    table->num_compactions += plan->num_compactions;
    table->group[table->num_sessions++] = group;
    return 0;
}

struct vidur_sessions
vidur_session_table_view(const struct vidur_session_table *table,
                         const struct vidur_workload_config *workload,
                         int64_t num_requests)
{
    if (table->num_sessions == 0)
        return (struct vidur_sessions){0};
    return (struct vidur_sessions){.count = table->session[num_requests - 1] + 1,
                                   .session = table->session,
                                   .turn = table->turn,
                                   .think_s = table->think_s,
                                   .conversation = table->conversation,
                                   .shared_tokens = table->shared_tokens,
                                   .group = table->group,
                                   .system_prompt_tokens =
                                       workload->sessions.system_prompt_tokens,
                                   .num_shortened = table->num_shortened,
                                   .num_compactions = table->num_compactions,
                                   .requests_per_session = (double)table->num_requests /
                                                           (double)table->num_sessions};
}

void vidur_session_table_free(struct vidur_session_table *table)
{
    free(table->session);
    free(table->turn);
    free(table->conversation);
    free(table->shared_tokens);
    free(table->think_s);
    free(table->group);
    memset(table, 0, sizeof *table);
}
