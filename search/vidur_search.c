/* vidur-search: which deployment serves the most queries per dollar. */

#include "base/args.h"
#include "base/file.h"
#include "base/progress.h"
#include "base/text.h"
#include "report/report.h"
#include "report/report_model.h"
#include "report/report_money.h"
#include "space/catalog.h"
#include "space/flags.h"
#include "study/session.h"

#include <vidur/paths.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef VIDUR_HAVE_MPI
#include <mpi.h>
#endif

#define PROGRAM "vidur-search"

static const struct vidur_args_option options[] = {
    {"output", 'o', "FILE",
     "Where the results go (HDF5). An unfinished search keeps FILE.journal beside it. "
     "Default: results.h5."},
    {"resume", 0, NULL,
     "Go on with the search whose journal is beside the output: what it finished is "
     "kept. Starts anew where there is nothing to resume."},
    {"shard", 0, "I/N",
     "Search only part I (0 to N-1) of N of the space, for independent jobs; "
     "vidur-report --merge joins their results. Default: 0/1, all of it."},
    {"target-qps", 0, "QPS",
     "Search the least number of replicas that carries this load, for every way to "
     "serve, and rank by cost: target.qps of the configuration."},
    {"threads", 'j', "N",
     "Threads of each rank for building tables of operator times. Default: the "
     "machine's processors divided by its ranks."},
    {"prices", 0, "NAME|FILE.yaml",
     "Prices of a provider, by GPU: a file of data/prices (--list prices) or one of "
     "yours; may be given many times. The cheapest on demand is taken, or what a "
     "cluster's price: {provider, term} selects. Stands for prices of the "
     "configuration. Devices without a price are ranked behind the others, by queries "
     "per GPU."},
    {"api-price", 0, "INPUT,OUTPUT",
     "What an API asks for a million input and output tokens, USD: says beside the "
     "ranking what it would cost and from which load on the GPUs are cheaper."},
    {"top", 't', "N",
     "Rows of the ranking to print for each model and workload. Default: 5."},
    {"list", 0, CATALOG_KINDS,
     "Print what there is of a kind, with the facts that tell one from another, and "
     "end."},
#define X(member, name, value, help) {name, 0, value, help},
    SEARCH_FLAGS(X)
#undef X
        {"print-config", 0, "FILE",
         "Where the configuration goes that --model and the options after it make; -: "
         "print it and end. Default: it is printed before the search."},
};

static const char *const libraries[] = {VIDUR_HDF5,
#ifdef VIDUR_HAVE_MPI
                                        "MPI " VIDUR_MPI_VERSION,
#endif
                                        NULL};

static const struct vidur_args_spec spec = {
    .program = PROGRAM,
    .arguments = "CONFIG.yaml|--model NAME --gpus NAME,... [-o results.h5] [--resume] "
                 "[--set KEY.PATH=VALUE]...",
    .summary =
        "Finds the deployment of a large language model that serves the most queries "
        "per second and dollar within latency objectives (SLOs). The configuration "
        "spans a space of candidates: models, workloads, GPUs, tensor and pipeline "
        "parallelism, schedulers, batch sizes. For each candidate the largest load "
        "that "
        "meets every SLO is found by simulating the cluster at a few loads. Prints the "
        "top of the ranking and writes all of it, with every simulation, to an HDF5 "
        "file that vidur-report turns into a report. Runs alone or on any number of "
        "ranks under mpirun or srun; the results are the same. On SIGTERM or SIGINT it "
        "stops within two seconds and can be resumed. Every key of the configuration "
        "is "
        "explained in configs/reference.yaml; --model, --gpus and limits of latency "
        "make "
        "one that searches vLLM's V1 engine. Exit status: 0 done; 1 bad usage, "
        "configuration or input, nothing written; 2 not completed, what was finished "
        "is "
        "kept; 3 interrupted, can be resumed.",
    .options = options,
    .num_options = sizeof options / sizeof options[0],
    .takes_set = true,
    .max_positional = 1,
    .libraries = libraries,
    .examples = {"mpirun -n 2 vidur-search configs/quickstart.yaml -o results.h5",
                 "vidur-search --model llama-3.1-8b --gpus a100,h100 --ttft-p95 1 "
                 "--tpot-p95 0.04",
                 "vidur-search configs/quickstart.yaml --target-qps 50",
                 "vidur-search configs/quickstart.yaml --set search.seed=7 --set "
                 "'batch_sizes=[64, 128]'",
                 NULL},
};

/* ---- Signals ---- */

/* The one thing that a signal handler may touch. */
static volatile sig_atomic_t stop;

/* The last word, where something does not come to its end: what is finished is in the
 * journal. */
static void on_deadline(int number)
{
    (void)number;
    _exit(SESSION_INTERRUPTED);
}

static void on_stop(int number)
{
    (void)number;
    stop = 1;
    alarm(1);
}

static void catch_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
    struct sigaction action = {.sa_handler = on_deadline};
    sigemptyset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    action.sa_handler = on_stop;
    action.sa_flags = SA_RESTART;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
    action.sa_handler = SIG_IGN; /* a full quota is an error of write() */
    sigaction(SIGXFSZ, &action, NULL);
}

/* ---- Ranks ---- */

#ifdef VIDUR_HAVE_MPI

static void nap(void)
{
    const struct timespec time = {.tv_nsec = 500000};
    nanosleep(&time, NULL);
}

static void wait_for(MPI_Request *request)
{
    int done = 0;
    for (MPI_Test(request, &done, MPI_STATUS_IGNORE); !done;
         MPI_Test(request, &done, MPI_STATUS_IGNORE))
        nap();
}

static int agree(void *context, bool failed)
{
    int rank, ranks, first;
    MPI_Request request;
    (void)context;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    const int mine = failed ? rank : ranks;
    MPI_Iallreduce(&mine, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD, &request);
    wait_for(&request);
    return first < ranks ? first : -1;
}

/* Started by a launcher of MPI programs? Alone, MPI is not even initialised. */
static bool is_launched(void)
{
    static const char *const signs[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK",
                                        "PMI_SIZE", "MPI_LOCALNRANKS"};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (getenv(signs[i]))
            return true;
    return false;
}

/* A broken connection is an error like others, so that rank 0 can say what was lost. */
static void init_mpi(int *argc, char ***argv)
{
    MPI_Init(argc, argv);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
}

static struct session_team join_team(bool launched, int *threads)
{
    struct session_team team = session_alone();
    MPI_Comm node;
    int ranks_here;
    if (!launched)
        return team;
    MPI_Comm_rank(MPI_COMM_WORLD, &team.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &team.ranks);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_size(node, &ranks_here);
    MPI_Comm_free(&node);
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (*threads == 0 && ranks_here > 1)
        *threads = processors > ranks_here ? (int)(processors / ranks_here) : 1;
    team.agree = agree;
    team.run = vidur_farm_run_mpi;
    return team;
}

/* Rank 0's status on every rank; the others sleep until it is known. */
static int share_status(const struct session_team *team, int status, bool abandoned)
{
    MPI_Request request;
    if (team->ranks < 2)
        return status;
    if (abandoned)
        MPI_Abort(MPI_COMM_WORLD, status);
    MPI_Ibcast(&status, 1, MPI_INT, 0, MPI_COMM_WORLD, &request);
    wait_for(&request);
    return status;
}

#else

static struct session_team join_team(bool launched, int *threads)
{
    (void)launched, (void)threads;
    return session_alone();
}

static int share_status(const struct session_team *team, int status, bool abandoned)
{
    (void)team, (void)abandoned;
    return status;
}

#endif

/* ---- What is said ---- */

struct voice {
    struct vidur_progress progress;
    bool started;
};

static void print_log(void *context, enum vidur_log_level level, const char *text)
{
    struct voice *voice = context;
    if (voice->started)
        vidur_progress_clear(&voice->progress);
    fprintf(stderr, PROGRAM ": %s%s\n", level == VIDUR_LOG_WARN ? "warning: " : "",
            text);
}

static void show_progress(void *context, int64_t done, int64_t total, const char *best)
{
    struct voice *voice = context;
    voice->started = true;
    vidur_progress_update(&voice->progress, (long)done, (long)total, best);
}

/* How the results are told. */
struct telling {
    int top;
    struct vidur_api_price api;
};

static int print_results(const struct session_outcome *outcome, const char *output,
                         const struct telling *telling, struct vidur_error *err)
{
    const struct vidur_report_options report = {
        .top = telling->top, .api = telling->api, .source = output};
    const struct study_counts *counts = &outcome->counts;
    if (counts->candidates == 0)
        printf("No candidate falls into this shard of the search space.\n");
    else if (vidur_report_terminal(stdout, &outcome->results, &report, err) != 0)
        return -1;
    const struct vidur_results *results = &outcome->results;
    long long simulated = 0;
    for (int64_t i = 0; i < results->num_probes; i++)
        simulated += vidur_probe_is_simulated(&results->probes[i]);
    printf("\n%s, %s (%lld simulated) in %.1f s on %s\nResults: %s (vidur-report has "
           "the command to start them, the reasons and the rest)\n",
           vidur_text_counted(counts->candidates, "candidate").text,
           vidur_text_counted(results->num_probes, "load").text, simulated,
           results->elapsed_s, vidur_text_counted(results->ranks, "rank").text,
           vidur_text_show(output).text);
    if (fflush(stdout) != 0 || ferror(stdout))
        return vidur_fail(err, VIDUR_EIO, "cannot write to standard output");
    return 0;
}

static void tell_verbosely(const struct session_outcome *outcome)
{
    const struct vidur_farm_stats *farm = &outcome->farm;
    fprintf(stderr,
            PROGRAM ": %s, %lld of them ahead and not needed; %.2f s of work in "
                    "%.2f s on %s; %s\n",
            vidur_text_counted(farm->steps, "step").text, (long long)farm->wasted,
            farm->busy_s, farm->elapsed_s, vidur_text_counted(farm->ranks, "rank").text,
            vidur_text_counted(farm->messages, "message").text);
}

/* ---- The program ---- */

enum { TARGET_TEXT = 64 };

static int parse_shard(const char *text, struct session_options *session,
                       struct vidur_error *err)
{
    char first[32] = "";
    int64_t index = 0, count = 1;
    const char *slash = text ? strchr(text, '/') : NULL;
    if (!text)
        return 0;
    if (slash)
        snprintf(first, sizeof first, "%.*s", (int)(slash - text), text);
    if (!slash || !vidur_text_int64(first, &index) ||
        !vidur_text_int64(slash + 1, &count) || index < 0 || index >= count)
        return vidur_fail(err, VIDUR_EINVAL,
                          "--shard: '%s' is not I/N with I from 0 to N-1, like 0/4",
                          text);
    session->shard = index;
    session->num_shards = count;
    return 0;
}

static int parse_counts(const struct vidur_args *args, struct session_options *session,
                        struct telling *telling, struct vidur_error *err)
{
    const char *api = vidur_args_value(args, "api-price");
    int *top = &telling->top;
    if (parse_shard(vidur_args_value(args, "shard"), session, err) != 0 ||
        vidur_args_int(args, "threads", &session->threads, err) != 0 ||
        vidur_args_int(args, "top", top, err) != 0)
        return -1;
    if (session->threads < 0 || *top < 0)
        return vidur_fail(err, VIDUR_EINVAL, "--threads and --top are 0 or more");
    return api ? vidur_api_price_parse(api, &telling->api, err) : 0;
}

/* ---- A search without a file ---- */

/* The configuration that the options make. */
struct made {
    struct search_flags flags;
    struct vidur_text text;
    char folder[VIDUR_PATH_MAX];
    const char **price_files;
    struct vidur_text prices;   /* "prices=[...]", for a file */
    struct vidur_error refused; /* its code is VIDUR_OK where there is none */
};

static int read_price_files(const struct vidur_args *args, struct made *made,
                            struct vidur_error *err)
{
    const char *file;
    int at = 0;
    made->price_files = calloc((size_t)args->num_given + 1, sizeof *made->price_files);
    if (!made->price_files)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for --prices");
    while ((file = vidur_args_next(args, "prices", &at)))
        made->price_files[made->flags.num_price_files++] = file;
    made->flags.price_files = made->price_files;
    if (made->flags.num_price_files == 0 || args->num_positional == 0)
        return 0;
    if (!getcwd(made->folder, sizeof made->folder))
        return vidur_file_fail(err, ".", "cannot tell the working directory");
    vidur_text_adds(&made->prices, "prices=");
    search_flags_put_prices(&made->flags, &made->prices);
    return made->prices.failed
               ? vidur_fail(err, VIDUR_ENOMEM, "out of memory for --prices")
               : 0;
}

static int read_flags(const struct vidur_args *args, struct made *made,
                      struct vidur_error *err)
{
    *made = (struct made){.folder = ""};
#define X(member, name, value, help) made->flags.member = vidur_args_value(args, name);
    SEARCH_FLAGS(X)
#undef X
    made->flags.folder = made->folder;
    return read_price_files(args, made, err);
}

/* The overrides of the command line: --set, and what has an option of its own. Freed by
 * the caller; `target` (64 bytes) must live as long. */
static const char **list_sets(const struct vidur_args *args, const struct made *made,
                              char *target, int *count)
{
    const char *qps = vidur_args_value(args, "target-qps");
    const char **sets = calloc((size_t)args->num_sets + 2, sizeof *sets);
    *count = args->num_sets;
    for (int i = 0; sets && i < args->num_sets; i++)
        sets[i] = args->sets[i];
    if (sets && qps) {
        snprintf(target, TARGET_TEXT, "target.qps=%.40s", qps);
        sets[(*count)++] = target;
    }
    if (sets && made->prices.data)
        sets[(*count)++] = made->prices.data;
    return sets;
}

/* Either a file or options. */
static int check_ways(const struct vidur_args *args, const struct made *made,
                      struct vidur_error *err)
{
    const char *flag = search_flags_first(&made->flags);
    if (!flag && vidur_args_given(args, "print-config"))
        flag = "print-config";
    if (args->num_positional > 0 && flag)
        return vidur_fail(err, VIDUR_EINVAL,
                          "--%s makes a configuration, and %s is one; give one of them "
                          "(--set changes keys of a file%s)",
                          flag, args->positional[0],
                          strcmp(flag, "qps") == 0 ? ", --target-qps its load" : "");
    if (args->num_positional == 0 && !flag)
        return vidur_fail(err, VIDUR_EINVAL, "arguments are missing: %s %s",
                          spec.program, spec.arguments);
    return 0;
}

static int make_config(struct made *made, struct vidur_error *err)
{
    if (!getcwd(made->folder, sizeof made->folder))
        return vidur_file_fail(err, ".", "cannot tell the working directory");
    return search_flags_write(&made->flags, &made->text, err);
}

/* On rank 0: to the file named, else before what the search prints. */
static int show_config(const struct vidur_args *args, const struct made *made,
                       struct vidur_error *err)
{
    const char *file = vidur_args_value(args, "print-config");
    if (file && strcmp(file, "-") != 0)
        return vidur_file_write(file, made->text.data, made->text.length, err);
    if (!file && args->quiet)
        return 0;
    printf("%s%s", made->text.data, file ? "" : "\n");
    if (fflush(stdout) != 0 || ferror(stdout))
        return vidur_fail(err, VIDUR_EIO, "cannot write to standard output");
    return 0;
}

/* What the session is to read: a file or the options' configuration. */
static void choose_config(const struct vidur_args *args, int rank, struct made *made,
                          struct session_options *session)
{
    const char *file = vidur_args_value(args, "print-config");
    struct vidur_error *err = &made->refused;
    if (args->num_positional > 0) {
        session->config_path = args->positional[0];
        return;
    }
    session->config_path = file ? file : "(options)";
    session->refused = err;
    if (make_config(made, err) == 0 && rank == 0)
        show_config(args, made, err);
    session->config_text = made->text.data;
}

/* Nothing but the configuration, or a list, is asked for. */
static bool ends_early(const struct vidur_args *args)
{
    const char *file = vidur_args_value(args, "print-config");
    return vidur_args_given(args, "list") || (file && strcmp(file, "-") == 0);
}

static int answer_early(const struct vidur_args *args, struct made *made,
                        struct vidur_error *err)
{
    const char *kind = vidur_args_value(args, "list");
    if (!kind)
        return make_config(made, err) != 0 ? -1 : show_config(args, made, err);
    if (catalog_write(kind, &made->text, err) != 0)
        return -1;
    fputs(made->text.data, stdout);
    if (fflush(stdout) != 0 || ferror(stdout))
        return vidur_fail(err, VIDUR_EIO, "cannot write to standard output");
    return 0;
}

static int search(const struct vidur_args *args, struct made *made, bool launched)
{
    struct voice voice = {.started = false};
    const struct vidur_log log = {.write = args->quiet ? NULL : print_log,
                                  .ctx = &voice,
                                  .level = VIDUR_LOG_INFO};
    const char *output = vidur_args_value(args, "output");
    char target[TARGET_TEXT];
    int num_sets;
    const char **sets = list_sets(args, made, target, &num_sets);
    struct session_options session = {.sets = sets,
                                      .num_sets = sets ? num_sets : 0,
                                      .output = output ? output : "results.h5",
                                      .resume = vidur_args_given(args, "resume"),
                                      .num_shards = 1,
                                      .stop = &stop,
                                      .log = &log,
                                      .progress = show_progress,
                                      .progress_context = &voice};
    struct session_outcome outcome;
    struct vidur_error err = {0};
    struct telling telling = {.top = 0};
    if (parse_counts(args, &session, &telling, &err) != 0) {
        fprintf(stderr, PROGRAM ": %s\n", err.text);
        free(sets);
        return SESSION_BAD_INPUT;
    }
    const struct session_team team = join_team(launched, &session.threads);
    if (team.rank != 0)
        session.log = NULL;
    choose_config(args, team.rank, made, &session);
    catch_signals();
    vidur_progress_start(&voice.progress, stderr, args->quiet || team.rank != 0,
                         "candidates");
    session_run(&team, &session, &outcome);
    if (voice.started)
        vidur_progress_clear(&voice.progress);
    if (outcome.written && args->verbose)
        tell_verbosely(&outcome);
    if (outcome.written && !args->quiet &&
        print_results(&outcome, session.output, &telling, &outcome.error) != 0)
        outcome.status = SESSION_NOT_COMPLETED;
    if (outcome.speaks && outcome.error.text[0])
        fprintf(stderr, PROGRAM ": %s\n", outcome.error.text);
    const int status =
        outcome.status == SESSION_ALREADY_DONE ? SESSION_DONE : outcome.status;
    session_release(&outcome);
    free(sets);
    return share_status(&team, status, outcome.abandoned);
}

/* Alone or on the ranks of an MPI launcher. */
static int search_on_ranks(const struct vidur_args *args, struct made *made, int *argc,
                           char ***argv)
{
    bool launched = false;
#ifdef VIDUR_HAVE_MPI
    launched = is_launched();
    if (launched)
        init_mpi(argc, argv);
#else
    (void)argc, (void)argv;
#endif
    const int status = search(args, made, launched);
#ifdef VIDUR_HAVE_MPI
    if (launched)
        MPI_Finalize();
#endif
    return status;
}

int main(int argc, char **argv)
{
    struct vidur_args args;
    struct made made = {.folder = ""};
    struct vidur_error err = {0};
    int status = SESSION_DONE;
    bool failed = vidur_args_parse(&args, &spec, argc, argv, &err) != 0;
    if (!failed && !vidur_args_answer(&args, stdout)) {
        failed =
            read_flags(&args, &made, &err) != 0 ||
            (!vidur_args_given(&args, "list") && check_ways(&args, &made, &err) != 0);
        if (!failed && ends_early(&args))
            failed = answer_early(&args, &made, &err) != 0;
        else if (!failed)
            status = search_on_ranks(&args, &made, &argc, &argv);
    }
    if (failed) {
        fprintf(stderr, PROGRAM ": %s\n", err.text);
        status = SESSION_BAD_INPUT;
    }
    free(made.text.data);
    free(made.prices.data);
    free(made.price_files);
    vidur_args_release(&args);
    return status;
}
