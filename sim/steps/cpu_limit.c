#include "steps/cpu_limit.h"

int vidur_cpu_spinning(const struct vidur_cut *cut)
{
    const int ranks = vidur_cut_ranks(cut);
    const int workers = vidur_cut_devices(cut);
    return workers > ranks ? workers + ranks : ranks;
}

struct vidur_cpu_limit vidur_cpu_limit_of(const struct vidur_deployment *deployment)
{
    const struct vidur_cut cut = vidur_deployment_cut(deployment);
    const double share = deployment->cpu_cores / vidur_cpu_spinning(&cut);
    return (struct vidur_cpu_limit){
        .run_s = share > 0 && share < 1 ? share * VIDUR_CPU_PERIOD_S : 0};
}

/* As floor, which is a call, does from 0 on. */
static inline double whole(double x)
{
    return x < 0x1p52 ? (double)(int64_t)x : x;
}

/* The first time from t_s on at which they run. */
static inline double running_from_s(const struct vidur_cpu_limit *limit, double t_s)
{
    const double periods = whole(t_s / VIDUR_CPU_PERIOD_S);
    return t_s - periods * VIDUR_CPU_PERIOD_S < limit->run_s
               ? t_s
               : (periods + 1) * VIDUR_CPU_PERIOD_S;
}

double vidur_cpu_stall_s(const struct vidur_cpu_limit *limit, double now_s,
                         double step_s)
{
    if (limit->run_s == 0)
        return 0;
    const double begins_s = running_from_s(limit, now_s);
    const double done_s = begins_s + step_s;
    return begins_s - now_s + (running_from_s(limit, done_s) - done_s);
}
