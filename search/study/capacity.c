#include <vidur/capacity.h>

#include <math.h>
#include <string.h>

/* The ends of a search, relative to its anchor. */
static const double lowest_ratio = 1.0 / 1024.0;
static const double highest_ratio = 64.0;

/* By multiplications alone, so that every machine gets the same bits. */
static double power(double base, int32_t exponent)
{
    double result = 1.0;
    for (uint32_t n = (uint32_t)(exponent < 0 ? -exponent : exponent); n; n >>= 1) {
        if (n & 1u)
            result *= base;
        base *= base;
    }
    return exponent < 0 ? 1.0 / result : result;
}

static bool is_lattice(const struct vidur_capacity *search)
{
    return search->options.definition != VIDUR_CAPACITY_SCHEDULING_DELAY;
}

static bool is_by_users(const struct vidur_capacity *search)
{
    return search->options.definition == VIDUR_CAPACITY_USERS;
}

static int64_t more_users(const struct vidur_capacity *search, int64_t users)
{
    const int64_t more = (int64_t)((double)users * (1.0 + search->options.granularity));
    return more > users ? more : users + 1;
}

static double users_at(const struct vidur_capacity *search, int32_t point)
{
    int64_t users = 1;
    for (int32_t i = 0; i < point; i++)
        users = more_users(search, users);
    return (double)users;
}

/* The last point of at most so many users, and the first one in any case. */
static int32_t point_of_users(const struct vidur_capacity *search, double most)
{
    int32_t point = 0;
    for (int64_t users = more_users(search, 1); (double)users <= most;
         users = more_users(search, users))
        point++;
    return point;
}

static double load_at(const struct vidur_capacity *search, int32_t point)
{
    if (search->options.definition == VIDUR_CAPACITY_REPLICAS)
        return search->options.target_qps / -point;
    if (is_by_users(search))
        return users_at(search, point);
    return power(1.0 + search->options.granularity, point);
}

static double place_of(const struct vidur_capacity *search, double qps)
{
    return log(qps) / log(1.0 + search->options.granularity);
}

static int32_t clamp(const struct vidur_capacity *search, int32_t point)
{
    if (point < search->lowest_point)
        return search->lowest_point;
    return point > search->highest_point ? search->highest_point : point;
}

static int check(const struct vidur_capacity_options *o, struct vidur_error *err)
{
    if (!(o->granularity >= 1e-4 && o->granularity <= 1.0))
        return vidur_fail(err, VIDUR_EINVAL,
                          "granularity %g is out of range; give 0.0001 to 1",
                          o->granularity);
    if (o->max_iterations < 1)
        return vidur_fail(err, VIDUR_EINVAL, "max_iterations must be at least 1");
    if (o->definition == VIDUR_CAPACITY_SCHEDULING_DELAY) {
        if (!(o->start_qps > 0 && isfinite(o->start_qps)))
            return vidur_fail(err, VIDUR_EINVAL, "start_qps must be above 0");
        if (!(o->delay_limit_s > 0 && isfinite(o->delay_limit_s)))
            return vidur_fail(err, VIDUR_EINVAL, "the delay limit must be above 0");
        return 0;
    }
    if (o->first_stride < 1 || o->confirm < 0)
        return vidur_fail(err, VIDUR_EINVAL, "first stride or confirm is out of range");
    if (o->definition == VIDUR_CAPACITY_REPLICAS) {
        if (!(o->target_qps > 0 && isfinite(o->target_qps)) || o->max_replicas < 1 ||
            o->start_replicas < 1)
            return vidur_fail(err, VIDUR_EINVAL,
                              "the target or its replicas are out of range");
        return 0;
    }
    if (o->definition == VIDUR_CAPACITY_USERS &&
        !(o->max_users >= 1 && o->max_users <= INT32_MAX))
        return vidur_fail(err, VIDUR_EINVAL, "the most users are out of range");
    if (!(o->anchor_qps >= 1e-250 && o->anchor_qps <= 1e250))
        return vidur_fail(err, VIDUR_EINVAL, "the search's anchor %g is out of range",
                          o->anchor_qps);
    if (!(o->start_qps >= 0))
        return vidur_fail(err, VIDUR_EINVAL, "the start %g is out of range",
                          o->start_qps);
    return 0;
}

static void begin_lattice(struct vidur_capacity *search)
{
    const struct vidur_capacity_options *o = &search->options;
    const double start_qps = o->start_qps > 0 ? o->start_qps : o->anchor_qps;
    search->lowest_point =
        (int32_t)floor(place_of(search, o->anchor_qps * lowest_ratio));
    search->highest_point =
        (int32_t)ceil(place_of(search, o->anchor_qps * highest_ratio));
    const double start = floor(place_of(search, start_qps) + 0.5);
    search->next_point =
        (int32_t)fmin(fmax(start, search->lowest_point), search->highest_point);
}

static void begin_users(struct vidur_capacity *search)
{
    const struct vidur_capacity_options *o = &search->options;
    search->lowest_point = 0;
    search->highest_point = point_of_users(search, (double)o->max_users);
    search->next_point =
        point_of_users(search, fmin(o->start_qps > 0 ? o->start_qps : o->anchor_qps,
                                    (double)o->max_users));
}

static void begin_replicas(struct vidur_capacity *search)
{
    search->lowest_point = -search->options.max_replicas;
    search->highest_point = -1;
    search->next_point = clamp(search, -search->options.start_replicas);
}

int vidur_capacity_begin(struct vidur_capacity *search,
                         const struct vidur_capacity_options *options,
                         struct vidur_error *err)
{
    if (check(options, err) != 0)
        return -1;
    memset(search, 0, sizeof *search);
    search->options = *options;
    search->pass_qps = search->fail_qps = NAN;
    search->stride = options->first_stride;
    if (options->definition == VIDUR_CAPACITY_SLOS) {
        begin_lattice(search);
    } else if (options->definition == VIDUR_CAPACITY_REPLICAS) {
        begin_replicas(search);
    } else if (options->definition == VIDUR_CAPACITY_USERS) {
        begin_users(search);
    } else {
        search->right_qps = 2 * options->start_qps;
        search->next_qps = (search->left_qps + search->right_qps) / 2;
    }
    return 0;
}

bool vidur_capacity_next(const struct vidur_capacity *search, double *qps)
{
    if (search->finished)
        return false;
    *qps = is_lattice(search) ? load_at(search, search->next_point) : search->next_qps;
    return true;
}

uint64_t vidur_capacity_name(const struct vidur_capacity *search)
{
    uint64_t bits;
    if (search->finished)
        return 0;
    if (is_lattice(search))
        return UINT64_C(1) << 32 | (uint32_t)search->next_point;
    memcpy(&bits, &search->next_qps, sizeof bits);
    return bits;
}

int vidur_capacity_replicas(const struct vidur_capacity *search)
{
    return search->options.definition == VIDUR_CAPACITY_REPLICAS ? -search->next_point
                                                                 : 0;
}

/* Beyond a bracket that has closed: looks for passes above the fail. */
static void confirm(struct vidur_capacity *search)
{
    int32_t point = search->fail_point + search->num_confirmed + 1;
    search->finished = search->num_confirmed >= search->options.confirm ||
                       point > search->highest_point;
    search->next_point = point;
}

static void choose_point(struct vidur_capacity *search)
{
    if (search->has_pass && search->has_fail) {
        int32_t gap = search->fail_point - search->pass_point;
        if (gap <= 1)
            confirm(search);
        else
            search->next_point = search->pass_point + gap / 2;
        return;
    }
    int32_t from = search->has_pass ? search->pass_point : search->fail_point;
    int32_t step = search->has_pass ? search->stride : -search->stride;
    search->next_point = clamp(search, from + step);
    search->finished = search->next_point == from;
    if (search->stride < search->highest_point - search->lowest_point)
        search->stride *= 2;
}

static bool bracket_closed(const struct vidur_capacity *search)
{
    return is_lattice(search) && search->has_pass && search->has_fail &&
           search->fail_point - search->pass_point <= 1;
}

static void tell_lattice(struct vidur_capacity *search, bool feasible)
{
    const int32_t point = search->next_point;
    if (bracket_closed(search)) {
        search->num_violations += feasible;
        search->num_confirmed++;
    } else if (feasible) {
        search->has_pass = true;
        search->pass_point = point;
        search->pass_qps = load_at(search, point);
    } else {
        search->has_fail = true;
        search->fail_point = point;
        search->fail_qps = load_at(search, point);
    }
    choose_point(search);
}

static void tell_reference(struct vidur_capacity *search,
                           const struct vidur_capacity_outcome *outcome)
{
    const double qps = search->next_qps, limit = search->options.delay_limit_s;
    const double lowest_fail = search->has_fail ? search->fail_qps : INFINITY;
    if (outcome->feasible) {
        if (search->has_fail && qps > search->fail_qps)
            search->num_violations++;
        double growth = 0;
        if (outcome->delay_s < limit / 8)
            growth = 4;
        else if (outcome->delay_s < limit / 4 || qps > 0.8 * search->right_qps)
            growth = 2;
        if (growth > 0)
            search->right_qps = fmin(growth * search->right_qps, lowest_fail);
        search->left_qps = search->pass_qps = qps;
        search->has_pass = true;
    } else {
        search->right_qps = outcome->delay_s > 500 ? qps / 2 : qps;
        search->fail_qps = fmin(lowest_fail, qps);
        search->has_fail = true;
    }
    search->finished =
        fabs(search->left_qps - search->right_qps) < search->options.granularity * qps;
    search->next_qps = (search->left_qps + search->right_qps) / 2;
}

void vidur_capacity_tell(struct vidur_capacity *search,
                         const struct vidur_capacity_outcome *outcome)
{
    if (search->finished)
        return;
    search->num_probes++;
    if (is_lattice(search))
        tell_lattice(search, outcome->feasible);
    else
        tell_reference(search, outcome);
    search->closed = search->finished || bracket_closed(search);
    if (search->num_probes >= search->options.max_iterations)
        search->finished = true;
}

bool vidur_capacity_suppose(const struct vidur_capacity *search, int which,
                            struct vidur_capacity *after)
{
    const double limit = search->options.delay_limit_s;
    const struct vidur_capacity_outcome slos[] = {{true, 0}, {false, 0}};
    const struct vidur_capacity_outcome delays[] = {
        {false, 2 * limit}, {true, 0.9 * limit}, {true, limit / 6}, {true, 0}};
    const bool lattice = is_lattice(search);
    if (search->finished || which < 0 || which >= (lattice ? 2 : 4))
        return false;
    *after = *search;
    vidur_capacity_tell(after, lattice ? &slos[which] : &delays[which]);
    return true;
}

void vidur_capacity_answer(const struct vidur_capacity *search,
                           struct vidur_capacity_answer *answer)
{
    memset(answer, 0, sizeof *answer);
    answer->found = search->has_pass;
    answer->max_qps = search->pass_qps;
    answer->fail_qps = search->fail_qps;
    answer->num_probes = search->num_probes;
    answer->num_violations = search->num_violations;
    answer->exhausted = search->finished && !search->closed;
    if (search->options.definition == VIDUR_CAPACITY_SCHEDULING_DELAY) {
        answer->unreachable =
            !search->has_pass && search->has_fail &&
            search->fail_qps <= search->options.start_qps * lowest_ratio;
    } else {
        answer->unreachable = !search->has_pass && search->has_fail &&
                              search->fail_point == search->lowest_point;
        answer->unbounded = search->options.definition != VIDUR_CAPACITY_REPLICAS &&
                            search->has_pass && !search->has_fail &&
                            search->pass_point == search->highest_point;
    }
    if (search->options.definition == VIDUR_CAPACITY_REPLICAS && search->has_pass)
        answer->replicas = -search->pass_point;
}

int vidur_capacity_run(struct vidur_capacity *search, vidur_capacity_probe *probe,
                       void *context, struct vidur_error *err)
{
    double qps;
    while (vidur_capacity_next(search, &qps)) {
        struct vidur_capacity_outcome outcome = {0};
        if (probe(context, qps, &outcome, err) != 0)
            return -1;
        vidur_capacity_tell(search, &outcome);
    }
    return 0;
}
