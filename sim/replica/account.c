#include "replica/account.h"

size_t vidur_account_bytes(int32_t num_stages)
{
    return vidur_arena_bytes(1, sizeof(struct vidur_replica_account)) +
           vidur_arena_bytes((size_t)num_stages, sizeof(struct vidur_stage_account));
}

struct vidur_replica_account *vidur_account_new(struct vidur_arena *arena,
                                                int32_t num_stages)
{
    struct vidur_replica_account *account =
        vidur_arena_zalloc(arena, 1, sizeof *account);
    account->stages =
        vidur_arena_zalloc(arena, (size_t)num_stages, sizeof *account->stages);
    return account;
}

void vidur_account_merge(struct vidur_replica_account *sum,
                         const struct vidur_replica_account *account)
{
#define X(name) sum->name += account->name;
    VIDUR_ACCOUNT_CHANGES(X)
    VIDUR_ACCOUNT_INTEGRALS(X)
#undef X
#define X(name, value) sum->name += account->name;
    VIDUR_ACCOUNT_BATCHES(X)
#undef X
    sum->attention_tokens_squared += account->attention_tokens_squared;
#define X(name, value)                                                                 \
    if (account->name > sum->name)                                                     \
        sum->name = account->name;
    VIDUR_ACCOUNT_PEAKS(X)
#undef X
}
