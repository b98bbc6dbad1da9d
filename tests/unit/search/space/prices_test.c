#include "space/prices.h"

#include "temp_dir.h"
#include "test.h"

#include <vidur/space.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct temp_dir dir;
static struct price_list list;

static void set_up(void)
{
    temp_dir_make(&dir);
}

static void clean_up(void)
{
    price_list_release(&list);
    temp_dir_remove(&dir);
}

static int read_text(const char *name, const char *text, struct vidur_error *err)
{
    const struct temp_path path = temp_dir_write(&dir, name, text);
    *err = (struct vidur_error){0};
    return price_list_read(&list, path.text, NULL, err);
}

#define HEAD                                                                           \
    "provider: me\nsource: https://example.org/prices\ndate: 2026-11-01\nprices:\n"

/* ---- Files ---- */

static void test_a_file(void)
{
    struct vidur_error err;
    price_list_release(&list);
    CU_ASSERT_EQUAL_FATAL(
        read_text("mine.yaml",
                  HEAD "  - {sku: h100, usd_per_gpu_hour: 3.5}\n"
                       "  - {sku: h100, usd_per_gpu_hour: 1.5, term: spot, date: "
                       "2026-11-02, source: 'https://example.org/spot', note: x}\n"
                       "  - {sku: mi300x, usd_per_gpu_hour: 2, term: reserved}\n",
                  &err),
        0);
    CU_ASSERT_EQUAL_FATAL(list.count, 3);
    CU_ASSERT_STRING_EQUAL(list.prices[0].provider, "me");
    CU_ASSERT_EQUAL(list.prices[0].term, VIDUR_TERM_ON_DEMAND);
    CU_ASSERT_EQUAL(list.prices[0].usd_per_gpu_hour, 3.5);
    CU_ASSERT_STRING_EQUAL(list.prices[0].date, "2026-11-01");
    CU_ASSERT_STRING_EQUAL(list.prices[0].source, "https://example.org/prices");
    CU_ASSERT_EQUAL(list.prices[1].term, VIDUR_TERM_SPOT);
    CU_ASSERT_STRING_EQUAL(list.prices[1].date, "2026-11-02");
    CU_ASSERT_STRING_EQUAL(list.prices[1].source, "https://example.org/spot");
    CU_ASSERT_EQUAL(list.prices[2].term, VIDUR_TERM_RESERVED);
}

/* Of a provider where one is named, else the cheapest, on the terms that are asked for;
 * of equal ones the first. */
static void test_find(void)
{
    struct vidur_error err;
    struct vidur_price_selector any = {.term = VIDUR_TERM_ON_DEMAND};
    struct vidur_price_selector you = {.provider = "you"};
    char text[128];
    price_list_release(&list);
    CU_ASSERT_EQUAL(
        read_text("a.yaml", HEAD "  - {sku: h100, usd_per_gpu_hour: 3}\n", &err), 0);
    CU_ASSERT_EQUAL(
        read_text("b.yaml",
                  "provider: you\nprices:\n"
                  "  - {sku: h100, usd_per_gpu_hour: 3, date: 2026-01-31, source: s}\n"
                  "  - {sku: h100, usd_per_gpu_hour: 1, date: 2026-01-31, source: s, "
                  "term: spot}\n",
                  &err),
        0);
    CU_ASSERT_STRING_EQUAL(price_find(&list, "h100", &any)->provider, "me");
    CU_ASSERT_STRING_EQUAL(price_find(&list, "h100", &you)->provider, "you");
    you.term = VIDUR_TERM_SPOT;
    CU_ASSERT_EQUAL(price_find(&list, "h100", &you)->usd_per_gpu_hour, 1);
    you.term = VIDUR_TERM_RESERVED;
    CU_ASSERT_PTR_NULL(price_find(&list, "h100", &you));
    CU_ASSERT_PTR_NULL(price_find(&list, "h200", &any));
    price_describe(&list, "h100", text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "me on_demand, you on_demand, you spot");
    price_describe(&list, "h100", text, 20);
    CU_ASSERT_STRING_EQUAL(text, "me on_demand, yo...");
    price_describe(&list, "h200", text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "");
}

static void test_bad_files(void)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {HEAD "  - {sku: h1000, usd_per_gpu_hour: 3}\n",
         "p.yaml:5: prices.0.sku: 'h1000'"},
        {HEAD "  - {sku: h100, usd_per_gpu_hour: -3}\n",
         "p.yaml:5: prices.0.usd_per_gpu_hour: -3 is out of range; it must be above 0"},
        {HEAD "  - {sku: h100, usd_per_gpu_hour: 0}\n", "must be above 0"},
        {HEAD "  - {sku: h100, usd_per_gpu_hour: cheap}\n",
         "p.yaml:5: prices.0.usd_per_gpu_hour: "},
        {HEAD "  - {sku: h100, usd_per_gpu_hour: .nan}\n",
         "prices.0.usd_per_gpu_hour: "},
        {HEAD "  - {sku: h100}\n", "prices.0.usd_per_gpu_hour: missing"},
        {HEAD "  - {usd_per_gpu_hour: 3}\n", "prices.0.sku: missing"},
        {HEAD "  - {sku: h100, usd_per_gpu_hour: 3, term: monthly}\n",
         "prices.0.term: "},
        {HEAD "  - {sku: h100, usd_per_gpu_hour: 3, date: 2026-13-01}\n",
         "p.yaml:5: prices.0.date: '2026-13-01' is not a date; write it YYYY-MM-DD"},
        {HEAD "  - {sku: h100, usd_per_gpu_hour: 3, date: 1.11.2026}\n", "not a date"},
        {HEAD "  - {sku: h100, usd_per_gpu_hour: 3, date: 2026-02-30}\n", "not a date"},
        {HEAD "  - {sku: h100, usd_per_gpu_hour: 3, date: [2026]}\n", "not a date"},
        {HEAD "  - {sku: h100, usd_per_gpu_hour: 3, prize: 3}\n", "prices.0.prize"},
        {HEAD "  - {sku: h100, usd_per_gpu_hour: 3}\n"
              "  - {sku: h100, usd_per_gpu_hour: 4}\n",
         "p.yaml:6: prices.1.sku: h100 has a price for on_demand already; keep one"},
        {"provider: me\ndate: 2026-11-01\nprices:\n  - {sku: h100, usd_per_gpu_hour: "
         "3}\n",
         "prices.0.source: missing; a price needs its source and date"},
        {"provider: me\nsource: s\nprices:\n  - {sku: h100, usd_per_gpu_hour: 3}\n",
         "prices.0.date: missing"},
        {"source: s\ndate: 2026-11-01\nprices:\n  - {sku: h100, usd_per_gpu_hour: 3}\n",
         "provider: missing"},
        {"provider: me\nsource: s\ndate: 2026-11-01\n", "prices: missing"},
        {"provider: me\nsource: s\ndate: 2026-11-01\nprices: []\n",
         "at least one element"},
        {"provider: me\nsource: s\ndate: 2026-11-01\nprices: {h100: 3}\n", "prices: "},
        {"- h100\n", "p.yaml:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vidur_error err;
        price_list_release(&list);
        CU_ASSERT_EQUAL(read_text("p.yaml", cases[i].text, &err), -1);
        const bool said = strstr(err.text, cases[i].words) != NULL;
        if (!said)
            printf("\n    case %zu: %s", i, err.text);
        CU_ASSERT_TRUE(said);
        CU_ASSERT_EQUAL(list.count, 0);
    }
}

static void test_unknown_files(void)
{
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(price_list_read(&list, "lamda", NULL, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "'lambda'"));
    CU_ASSERT_EQUAL(price_list_read(&list, "/no/such.yaml", NULL, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/no/such.yaml"));
}

/* A device of one's own is known by the name in its spec. */
static void test_own_devices(void)
{
    static const char *const names[] = {"mine"};
    const struct price_devices more = {names, 1};
    struct vidur_error err;
    price_list_release(&list);
    const char *const text = HEAD "  - {sku: mine, usd_per_gpu_hour: 3}\n";
    CU_ASSERT_EQUAL(read_text("m.yaml", text, &err), -1);
    const struct temp_path path = temp_dir_write(&dir, "m.yaml", text);
    CU_ASSERT_EQUAL(price_list_read(&list, path.text, &more, &err), 0);
}

/* What we ship: several providers and terms, each price with a source and a date. */
static void test_shipped_prices(void)
{
    struct vidur_error err = {0};
    int terms[3] = {0}, providers = 0;
    price_list_release(&list);
    CU_ASSERT_EQUAL_FATAL(price_list_read_all(&list, &err), 0);
    CU_ASSERT(list.count >= 60);
    for (int i = 0; i < list.count; i++) {
        const struct vidur_price *price = &list.prices[i];
        CU_ASSERT_EQUAL(strncmp(price->source, "https://", 8), 0);
        CU_ASSERT(strcmp(price->date, "2026-01-01") > 0);
        CU_ASSERT(price->usd_per_gpu_hour > 0.1 && price->usd_per_gpu_hour < 20);
        terms[price->term]++;
        providers +=
            i == 0 || strcmp(price->provider, list.prices[i - 1].provider) != 0;
    }
    CU_ASSERT(providers >= 8);
    CU_ASSERT(terms[0] > 0 && terms[1] > 0 && terms[2] > 0);
}

/* ---- In a configuration ---- */

static struct vidur_search_config config;

static int load(const char *clusters, const char *more, struct vidur_error *err)
{
    char text[2048];
    snprintf(text, sizeof text,
             "models: [{name: llama, identifier: llama-2-7b-hf}]\n"
             "clusters:\n%s"
             "schedulers: [{scheduler: vllm}]\n"
             "traces: [{name: chat, trace_file: 'data:traces/chat-4k-synthetic.csv', "
             "num_requests: 100}]\n%s",
             clusters, more);
    const struct temp_path path = temp_dir_write(&dir, "c.yaml", text);
    *err = (struct vidur_error){0};
    vidur_search_config_release(&config);
    return vidur_search_config_load(&config, path.text, NULL, 0, err);
}

#define CLUSTERS                                                                       \
    "  - {device: h100, num_gpus: 8}\n"                                                \
    "  - {device: h200, num_gpus: 8}\n"                                                \
    "  - {device: a100, num_gpus: 8, usd_per_gpu_hour: 9}\n"                           \
    "  - {device: a40, num_gpus: 8}\n"

/* The configuration's own, then the files', then the device's, then none. */
static void test_precedence(void)
{
    struct vidur_error err;
    temp_dir_write(&dir, "mine.yaml",
                   HEAD "  - {sku: h100, usd_per_gpu_hour: 3}\n"
                        "  - {sku: a100, usd_per_gpu_hour: 1}\n");
    CU_ASSERT_EQUAL_FATAL(load(CLUSTERS, "", &err), 0);
    CU_ASSERT_EQUAL(config.clusters[0].usd_per_gpu_hour, 4.25);
    CU_ASSERT_TRUE(isnan(config.clusters[1].usd_per_gpu_hour));
    CU_ASSERT_STRING_EQUAL(config.clusters[0].price.provider, "");
    CU_ASSERT_EQUAL_FATAL(load(CLUSTERS, "prices: [mine.yaml]\n", &err), 0);
    CU_ASSERT_EQUAL(config.clusters[0].usd_per_gpu_hour, 3);
    CU_ASSERT_STRING_EQUAL(config.clusters[0].price.provider, "me");
    CU_ASSERT_TRUE(isnan(config.clusters[1].usd_per_gpu_hour));
    CU_ASSERT_EQUAL(config.clusters[2].usd_per_gpu_hour, 9);
    CU_ASSERT_STRING_EQUAL(config.clusters[2].price.provider, "");
    CU_ASSERT_EQUAL(config.clusters[3].usd_per_gpu_hour, 1.28);
    CU_ASSERT_EQUAL_FATAL(load(CLUSTERS, "prices: [mine.yaml, lambda]\n", &err), 0);
    CU_ASSERT_EQUAL(config.clusters[0].usd_per_gpu_hour, 3);
}

static void test_selectors(void)
{
    struct vidur_error err;
    CU_ASSERT_EQUAL_FATAL(load("  - {device: h100, num_gpus: 8, price: {provider: "
                               "coreweave, term: spot}}\n"
                               "  - {device: h200, num_gpus: 8, price: {provider: "
                               "nebius}}\n"
                               "  - {device: gb200, num_gpus: 8}\n",
                               "", &err),
                          0);
    CU_ASSERT_DOUBLE_EQUAL(config.clusters[0].usd_per_gpu_hour, 19.71 / 8, 1e-12);
    CU_ASSERT_EQUAL(config.clusters[0].price.term, VIDUR_TERM_SPOT);
    CU_ASSERT_EQUAL(config.clusters[1].usd_per_gpu_hour, 4.5);
    /* once prices of data/prices are asked for, they hold for all */
    CU_ASSERT_EQUAL(config.clusters[2].usd_per_gpu_hour, 10.5);
    CU_ASSERT_EQUAL(
        load("  - {device: h200, num_gpus: 8, price: {provider: lambda}}\n", "", &err),
        -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(
        err.text, "c.yaml:3: clusters.0.price: no price of h200 for on_demand from "
                  "lambda; there is: "));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "coreweave spot"));
    CU_ASSERT_EQUAL(
        load("  - {device: a30, num_gpus: 1, price: {term: spot}}\n", "", &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "there is: none, give usd_per_gpu_hour"));
    CU_ASSERT_EQUAL(load("  - {device: h100, num_gpus: 8, price: {provider: nebius}, "
                         "usd_per_gpu_hour: 3}\n",
                         "", &err),
                    -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "given beside usd_per_gpu_hour"));
    CU_ASSERT_EQUAL(
        load("  - {device: h100, num_gpus: 8, price: {terms: spot}}\n", "", &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "clusters.0.price.terms"));
    CU_ASSERT_EQUAL(load("  - {device: h100, num_gpus: 8, price: 3}\n", "", &err), -1);
    CU_ASSERT_EQUAL(load(CLUSTERS, "prices: [nothing]\n", &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "'nothing'"));
    CU_ASSERT_EQUAL(load(CLUSTERS, "prices: [3, {a: b}]\n", &err), -1);
}

/* Simulations do not depend on prices: neither ids nor what a journal is known by. */
static void test_unpriced_hash(void)
{
    struct vidur_error err;
    char plain[65], priced[65];
    struct vidur_space space = {0};
    CU_ASSERT_EQUAL_FATAL(load("  - {device: h100, num_gpus: 8}\n", "", &err), 0);
    CU_ASSERT_EQUAL_FATAL(vidur_space_build(&space, &config, &err), 0);
    const uint64_t id = space.candidates[0].id;
    vidur_space_release(&space);
    memcpy(plain, config.unpriced_sha256, sizeof plain);
    memcpy(priced, config.sha256, sizeof priced);
    CU_ASSERT_EQUAL_FATAL(
        load("  - {device: h100, num_gpus: 8, price: {provider: nebius}}\n",
             "prices: [nebius, lambda]\n", &err),
        0);
    CU_ASSERT_STRING_EQUAL(config.unpriced_sha256, plain);
    CU_ASSERT_STRING_NOT_EQUAL(config.sha256, priced);
    CU_ASSERT_EQUAL_FATAL(vidur_space_build(&space, &config, &err), 0);
    CU_ASSERT_EQUAL(space.candidates[0].id, id);
    vidur_space_release(&space);
    vidur_search_config_release(&config);
}

VIDUR_TEST_MAIN("prices", {"set up", set_up}, {"a file", test_a_file},
                {"find", test_find}, {"bad files", test_bad_files},
                {"unknown files", test_unknown_files},
                {"own devices", test_own_devices},
                {"shipped prices", test_shipped_prices},
                {"precedence", test_precedence}, {"selectors", test_selectors},
                {"what simulations depend on", test_unpriced_hash},
                {"clean up", clean_up})
