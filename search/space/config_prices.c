#include "space/config_parts.h"
#include "space/prices.h"

#include <vidur/paths.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct vidur_yaml_field config_price_element = {
    .key = "",
    .type = VIDUR_YAML_REFERENCE,
    .example = "lambda",
    .flags = VIDUR_YAML_FILLED,
    .size = sizeof(struct vidur_price_file)};

const struct vidur_yaml_field config_selector_fields[] = {
    {VIDUR_YAML_KEY("provider", STRING, struct vidur_price_selector, provider)},
    {VIDUR_YAML_KEY("term", ENUM, struct vidur_price_selector, term),
     .names = price_term_names},
    {0}};

/* A name or path that leads to no file. */
static int check_file(const struct vidur_search_config *config, int index,
                      struct vidur_error *err)
{
    const struct vidur_yaml_node *prices =
        vidur_yaml_get(vidur_yaml_root(config->doc), "prices");
    const bool list = vidur_yaml_kind(prices) == VIDUR_YAML_IS_SEQUENCE;
    struct vidur_path path;
    struct vidur_error why;
    if (vidur_path_spec(NULL, "prices", config->price_files[index].reference, &path,
                        &why) == 0)
        return 0;
    return vidur_yaml_fail(list ? vidur_yaml_item(prices, index) : prices, err, "%s",
                           why.text);
}

/* The files that the configuration names; where it only selects, all of data/prices. */
static int read_files(const struct vidur_search_config *config, struct price_list *list,
                      struct vidur_error *err)
{
    const char **names = malloc(((size_t)config->num_clusters + 1) * sizeof *names);
    const struct price_devices own = {names, config->num_clusters};
    bool selects = false;
    int status = names ? 0 : vidur_fail(err, VIDUR_ENOMEM, "out of memory for prices");
    for (int i = 0; names && i < config->num_clusters; i++) {
        names[i] = config->clusters[i].device.name;
        selects |= config->clusters[i].selects_price;
    }
    for (int i = 0; i < config->num_price_files && status == 0; i++) {
        status = check_file(config, i, err);
        if (status == 0)
            status = price_list_read(list, config->price_files[i].reference, &own, err);
    }
    free(names);
    return status == 0 && config->num_price_files == 0 && selects
               ? price_list_read_all(list, err)
               : status;
}

static int fail_selector(const struct vidur_yaml_node *item,
                         const struct vidur_search_cluster *cluster,
                         const struct price_list *list, struct vidur_error *err)
{
    const struct vidur_price_selector *wanted = &cluster->selector;
    char known[384];
    price_describe(list, cluster->device.name, known, sizeof known);
    return vidur_yaml_fail_key(
        item, "price", err, "no price of %s for %s%s%s; there is: %s",
        cluster->device.name, price_term_names[wanted->term],
        wanted->provider[0] ? " from " : "", wanted->provider,
        known[0] ? known : "none, give usd_per_gpu_hour or a file in prices");
}

/* The configuration's own price, else one of the files, else the device's. */
static int price_cluster(const struct vidur_yaml_node *item,
                         const struct price_list *list,
                         struct vidur_search_cluster *cluster, struct vidur_error *err)
{
    if (cluster->own_price && cluster->selects_price)
        return vidur_yaml_fail_key(item, "price", err,
                                   "given beside usd_per_gpu_hour; give one of them");
    if (cluster->own_price)
        return 0;
    const struct vidur_price *found =
        price_find(list, cluster->device.name, &cluster->selector);
    if (!found && cluster->selects_price)
        return fail_selector(item, cluster, list, err);
    if (found)
        cluster->price = *found;
    cluster->usd_per_gpu_hour =
        found ? found->usd_per_gpu_hour : cluster->device.usd_per_gpu_hour;
    return 0;
}

int config_price_clusters(const struct vidur_yaml_node *clusters,
                          struct vidur_search_config *config, struct vidur_error *err)
{
    struct price_list list = {0};
    int status = read_files(config, &list, err);
    for (int i = 0; i < config->num_clusters && status == 0; i++)
        status = price_cluster(vidur_yaml_item(clusters, i), &list,
                               &config->clusters[i], err);
    price_list_release(&list);
    return status;
}

/* Simulations depend neither on what they cost nor on what is paid for already. */
int config_forget_prices(const struct vidur_search_config *config,
                         struct vidur_error *err)
{
    char set[64];
    if (config->num_price_files > 0 && vidur_yaml_set(config->doc, "prices=", err) != 0)
        return -1;
    if (config->num_have > 0 && vidur_yaml_set(config->doc, "have=", err) != 0)
        return -1;
    for (int i = 0; i < config->num_clusters; i++) {
        const struct vidur_search_cluster *cluster = &config->clusters[i];
        snprintf(set, sizeof set, "clusters.%d.usd_per_gpu_hour=", i);
        if (cluster->own_price && vidur_yaml_set(config->doc, set, err) != 0)
            return -1;
        snprintf(set, sizeof set, "clusters.%d.price=", i);
        if (cluster->selects_price && vidur_yaml_set(config->doc, set, err) != 0)
            return -1;
    }
    return 0;
}
