/* A plugin of QEMU that counts executed blocks, and who ran before them, between the call of a function and its
 * return. Its own declarations of QEMU's plugin interface: the few functions that are used are the same in all its
 * versions; PLUGIN_VERSION tells QEMU which one is meant.
 *
 * Arguments, addresses in hexadecimal: out=FILE, begin=ADDRESS (the function), end=LO:HI (its caller, where counting
 * stops), skip=LO:HI (an interrupt handler), root=LO:HI (repeated: functions whose block is the context of all that
 * is called from there), flash=LO:HI (where reads of constants are counted).
 *
 * What it writes, one line each: `B id address count` (a block and the number of its instructions, 0 for the one where
 * counting stops), `E context from to count` (blocks by id; context is that of `from`, which is -1 for the first),
 * `M block index context flash late1 late2` (an instruction's reads from flash, and accesses that lie one or two bus
 * transfers beyond an aligned one). Addresses and sizes of instructions are left to the reader: QEMU 7.2 gives wrong
 * ones at the end of a page. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { CB_NO_REGS = 0, MEM_RW = 3 };

typedef void (*tb_trans_t)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*exec_t)(unsigned int cpu, void *data);
typedef void (*mem_t)(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data);
typedef void (*exit_t)(qemu_plugin_id_t id, void *data);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_trans_t callback);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, exec_t callback, int flags, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, mem_t callback, int flags, int rw,
                                      void *data);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, exit_t callback, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
unsigned int qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t info);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info);

__attribute__((visibility("default"))) int qemu_plugin_version = PLUGIN_VERSION;
__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info,
                                                               int argc, char **argv);

typedef struct {
    uint64_t lo, hi;
} range_t;

/* How often a block ran after `from`, which ran in `context`. */
typedef struct edge {
    struct edge *next;
    int64_t context, from;
    uint64_t count;
} edge_t;

/* Accesses of one instruction in one context. */
typedef struct access {
    struct access *next;
    int64_t context;
    uint64_t flash, late[2];
} access_t;

typedef struct block {
    struct block *next;
    int64_t id;
    uint64_t address;
    size_t size;
    bool skip, end, root;
    edge_t *edges;
    struct site *sites; /* its instructions */
} block_t;

typedef struct site {
    const block_t *block;
    access_t *accesses;
} site_t;

enum { BUCKETS = 4096, ROOTS = 1024 };
static FILE *out;
static uint64_t begin;
static range_t end, skip, flash, roots[ROOTS];
static size_t n_roots;
static block_t *blocks[BUCKETS];
static int64_t n_blocks, context = -1, previous = -1;
static bool active;

static bool inside(uint64_t address, range_t range)
{
    return address >= range.lo && address < range.hi;
}

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        fputs("block_profile: out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

static void on_block(unsigned int cpu, void *data)
{
    block_t *block = data;
    (void)cpu;
    if (!active && block->address == begin) {
        active = true;
        context = previous = -1;
    }
    if (!active || block->skip) {
        return;
    }
    active = !block->end;
    edge_t *edge = block->edges;
    while (edge != NULL && (edge->from != previous || edge->context != context)) {
        edge = edge->next;
    }
    if (edge == NULL) {
        edge = allocate(sizeof *edge);
        edge->context = context;
        edge->from = previous;
        edge->next = block->edges;
        block->edges = edge;
    }
    edge->count++;
    previous = block->id;
    if (block->root) {
        context = block->id;
    }
}

static void on_access(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    const uint64_t bytes = (uint64_t)1 << qemu_plugin_mem_size_shift(info);
    const bool constant = inside(address, flash) && !qemu_plugin_mem_is_store(info);
    /* The bus moves words: two bytes at an odd address, or four at an even one, are two transfers, four at an odd one
     * three. */
    const bool odd = (address & 1u) != 0u;
    const int late = bytes == 2u ? odd : bytes >= 4u && (address & 3u) != 0u ? 1 + odd : 0;
    (void)cpu;
    site_t *site = data;
    if (!active || site->block->skip || (!constant && late == 0)) {
        return;
    }
    access_t *access = site->accesses;
    while (access != NULL && access->context != context) {
        access = access->next;
    }
    if (access == NULL) {
        access = allocate(sizeof *access);
        access->context = context;
        access->next = site->accesses;
        site->accesses = access;
    }
    access->flash += constant ? 1u : 0u;
    if (late > 0) {
        access->late[late - 1]++;
    }
}

/* The block that an earlier translation of the same instructions made, or a new one. */
static block_t *find_block(uint64_t address, size_t size)
{
    block_t **bucket = &blocks[(address / 2u) % BUCKETS];
    for (block_t *block = *bucket; block != NULL; block = block->next) {
        if (block->address == address && block->size == size) {
            return block;
        }
    }
    block_t *block = allocate(sizeof *block);
    block->id = n_blocks++;
    block->address = address;
    block->size = size;
    block->sites = allocate(size * sizeof *block->sites);
    for (size_t i = 0; i < size; i++) {
        block->sites[i].block = block;
    }
    block->skip = inside(address, skip);
    block->end = inside(address, end);
    for (size_t i = 0; i < n_roots; i++) {
        block->root = block->root || inside(address, roots[i]);
    }
    block->next = *bucket;
    *bucket = block;
    return block;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    block_t *block = find_block(qemu_plugin_tb_vaddr(tb), qemu_plugin_tb_n_insns(tb));
    (void)id;
    for (size_t i = 0; i < block->size; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        qemu_plugin_register_vcpu_mem_cb(insn, on_access, CB_NO_REGS, MEM_RW, &block->sites[i]);
    }
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, CB_NO_REGS, block);
}

static void write_block(const block_t *block)
{
    const size_t size = block->end ? 0u : block->size;
    fprintf(out, "B %" PRId64 " %" PRIx64 " %zu\n", block->id, block->address, size);
    for (const edge_t *edge = block->edges; edge != NULL; edge = edge->next) {
        fprintf(out, "E %" PRId64 " %" PRId64 " %" PRId64 " %" PRIu64 "\n", edge->context, edge->from,
                block->id, edge->count);
    }
    for (size_t i = 0; i < block->size; i++) {
        for (const access_t *a = block->sites[i].accesses; a != NULL; a = a->next) {
            fprintf(out, "M %" PRId64 " %zu %" PRId64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", block->id, i,
                    a->context, a->flash, a->late[0], a->late[1]);
        }
    }
}

static void on_end(qemu_plugin_id_t id, void *data)
{
    (void)id;
    (void)data;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (const block_t *block = blocks[i]; block != NULL; block = block->next) {
            if (block->edges != NULL) {
                write_block(block);
            }
        }
    }
    fclose(out);
}

static range_t parse_range(const char *text)
{
    range_t range = {0, 0};
    sscanf(text, "%" SCNx64 ":%" SCNx64, &range.lo, &range.hi);
    return range;
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        const char *value = strchr(argv[i], '=');
        const size_t length = value == NULL ? 0u : (size_t)(value - argv[i]);
        if (value == NULL) {
            continue;
        }
        value++;
        if (length == 3u && strncmp(argv[i], "out", length) == 0) {
            out = fopen(value, "w");
        } else if (length == 5u && strncmp(argv[i], "begin", length) == 0) {
            begin = strtoull(value, NULL, 16);
        } else if (length == 3u && strncmp(argv[i], "end", length) == 0) {
            end = parse_range(value);
        } else if (length == 4u && strncmp(argv[i], "skip", length) == 0) {
            skip = parse_range(value);
        } else if (length == 5u && strncmp(argv[i], "flash", length) == 0) {
            flash = parse_range(value);
        } else if (length == 4u && strncmp(argv[i], "root", length) == 0 && n_roots < ROOTS) {
            roots[n_roots++] = parse_range(value);
        }
    }
    if (out == NULL) {
        fputs("block_profile: out=FILE is missing or cannot be written\n", stderr);
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_end, NULL);
    return 0;
}
