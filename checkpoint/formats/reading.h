/* reading — one language for every stream format: what a reader (libxc, libxl, xl, legacy) says, and
 * what a consumer (image, writer, inspector) hears.
 * A reader takes octets from r->in, keeps the rules of its format and calls reading_*() below; these
 * pass everything on to the consumer and keep the transaction:
 *
 *   begin · { page | state | param | record | note }* · commit · … · end
 *
 * What comes after the last commit is void when the stream breaks off (`drop`). A plain stream has no
 * commit but the end itself. Nothing is delivered after a refusal is held (see reading_hold).
 *
 * Functions return 0 or -errno as everywhere, and these mean something to the driver:
 *   -EPROTO   a rule is broken: say so by reading_refuse()
 *   -ENODATA  the stream breaks off here (reading_take, reading_skip): with a commit behind it that is
 *             a fail over, without one a refusal
 *   others    the machine failed us (a read, memory, a consumer's disk): neither accepted nor refused */
#ifndef REPLICATOR_CHECKPOINT_READING_H
#define REPLICATOR_CHECKPOINT_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/digest.h"
#include "base/err.h"
#include "checkpoint/formats/pagetable.h"
#include "checkpoint/stream.h"
#include "checkpoint/formats/stream_input.h"
#include "checkpoint/formats/unmapped.h"

enum stream_framing { FRAMING_AUTO, FRAMING_LIBXC, FRAMING_LIBXL, FRAMING_XL, FRAMING_LEGACY };
enum stream_mode { MODE_AUTO, MODE_PLAIN, MODE_REMUS };

/* What the caller knows or wants; zeros detect. */
struct stream_wishes {
    enum stream_framing framing;
    enum stream_mode mode;
    unsigned guest;           /* enum stream_guest, or 0 */
    unsigned toolstack_width; /* 4 or 8 octets, or 0; legacy only */
    unsigned guest_width;     /* 4 or 8 octets, or 0 */
    uint64_t pages_max;       /* no content at or above this pfn is taken; 0: GUEST_PAGES_MAX */
    bool strict;              /* also refuse what the text only says must be zero */
    bool is_blind;            /* contents of pages matter to nobody: a reader may pass them unread, and
                               * say zeros */
};

/* What the headers said. Known at begin, complete at end. */
struct stream_facts {
    enum stream_framing framing;   /* outermost */
    bool is_legacy;                /* the inner stream is legacy, whatever frames it */
    uint32_t version;              /* of libxc: 2, 3; legacy: 1 */
    enum stream_guest guest;
    unsigned toolstack_width;      /* legacy: 4 or 8 */
    unsigned guest_width;          /* PV: 4 or 8 once known, else 0 */
    uint64_t pages;                /* legacy: p2m_size; PV: largest end_pfn + 1 so far; HVM: 0 */
    uint32_t xen_major, xen_minor;
    struct pagetable *table;       /* type and presence of each page; places are the consumer's to set */
};

/* A record, chunk or header that the reader came to. Numbers start at 1 and run through all layers;
 * 0 is what comes before the first. */
struct stream_item {
    uint64_t number, offset;
    enum stream_framing layer; /* whose numbers `type` is from */
    uint32_t type;             /* legacy: the chunk id, as unsigned */
    uint64_t bytes;            /* of the body, 0 when not known before it is read */
    const char *name;          /* "PAGE_DATA", "BATCH", …; never NULL, lives as long as the program */
};

struct stream_page {
    uint64_t pfn;
    uint8_t type;           /* libxc page type, 0…15 */
    const uint8_t *content; /* PAGE_BYTES; NULL: this entry has none (BROKEN, XALLOC, XTAB) */
    uint64_t offset;        /* of the content in the input; PAGE_COMPUTED: it stands nowhere as it is */
    bool is_compared;       /* sent to verify only: memory stays as it is (a new page is populated) */
};
#define PAGE_COMPUTED UINT64_MAX

/* Foreign blobs have names too: "XL_CONFIG", "TOOLSTACK" (legacy), "TMEM", "TMEM_EXTRA" (legacy, as
 * they stand in the chunk), "UNMAPPED_PFNS" (legacy PV tail), "XCNT" … A legacy device model record is
 * EMULATOR_CONTEXT of emulator 0, index 0, without its signature and length.
 *
 * A piece of a named blob of state. A later blob of the same name and index replaces the older one.
 * Pieces come in order without gaps, nothing else between them; the last ends at `total`. An empty
 * blob is one empty piece. Names are those of v3 records where there is one ("X86_PV_VCPU_BASIC",
 * "HVM_CONTEXT", "EMULATOR_CONTEXT"); octets are what follows the vcpu or emulator id. */
struct stream_state {
    const char *name;
    bool is_indexed;
    uint32_t index;       /* the vcpu or device, the end pfn of P2M_FRAMES … */
    uint32_t emulator;    /* … and the emulator id of EMULATOR_*, the start pfn of P2M_FRAMES */
    uint32_t type;        /* v3 (libxc or libxl) record that carries it; STATE_FOREIGN: none does */
    uint64_t total, at;
    const uint8_t *octets;
    size_t bytes;
};
#define STATE_FOREIGN UINT32_MAX

enum stream_note { NOTE_STATIC_DATA_END, NOTE_VERIFY, NOTE_LAST_CHECKPOINT };

/* A consumer; every slot is filled (consumer_ignores has functions that do nothing). */
struct consumer_ops {
    int (*begin)(void *c, const struct stream_facts *facts, struct err *e);
    /* The reader came to this item; what it has follows. For those who list. */
    int (*item)(void *c, const struct stream_item *item, struct err *e);
    int (*page)(void *c, const struct stream_page *page, struct err *e);
    int (*state)(void *c, const struct stream_state *piece, struct err *e);
    int (*param)(void *c, uint64_t index, uint64_t value, struct err *e); /* HVM_PARAMS */
    int (*note)(void *c, enum stream_note note, struct err *e);
    /* The content that the page has now, uncommitted included (zeros: none), because deltas start
     * from it. -EOPNOTSUPP: this consumer keeps no pages. */
    int (*recall)(void *c, uint64_t pfn, uint8_t *page, struct err *e);
    /* All so far is checkpoint n (1, 2, …). -ECANCELED: that is enough, read no further. */
    int (*commit)(void *c, uint64_t n, struct err *e);
    /* All since the last commit is void. */
    int (*drop)(void *c, struct err *e);
    /* The stream has ended and every rule held; is_complete: it did not break off. */
    int (*end)(void *c, const struct stream_facts *facts, bool is_complete, struct err *e);
};
extern const struct consumer_ops consumer_ignores;

struct consumer {
    const struct consumer_ops *ops;
    void *self;
};

/* Where and why a stream was refused. */
struct stream_refusal {
    struct stream_item item; /* number 0: a header */
    uint64_t offset;         /* of the field that broke the rule */
    char rule[200];
};

/* One reading. Made by reading_run(); readers use the functions below. */
struct reading {
    struct stream_input *in;
    struct stream_wishes wishes;
    struct consumer to;
    struct stream_facts facts;
    struct stream_item item;
    uint64_t items;
    uint64_t checkpoints;  /* committed */
    bool is_complete;
    bool is_held;          /* a refusal waits for the commit that would make it matter */
    struct stream_refusal refusal;
    struct unmapped unmapped; /* pages that are freed when all is done */
    struct digest *tap;    /* takes in every octet that is taken, for a reader; NULL: none */
    bool may_be_image, is_image, is_image_ended;
    struct digest image;   /* of every octet from the first on, while it may be one */
};

/* ---- for readers --------------------------------------------------------------------------------- */

/* Takes exactly n octets (STREAM_INPUT_WINDOW at most); *ret is good until the next take.
 * -ENODATA when the input ends before. */
MUST_CHECK int reading_take(struct reading *r, size_t n, const uint8_t **ret, struct err *e);
/* As take, but nothing is taken. */
MUST_CHECK int reading_peek(struct reading *r, size_t n, const uint8_t **ret, struct err *e);
MUST_CHECK int reading_skip(struct reading *r, uint64_t n, struct err *e);
/* Passes over n octets of content that nobody looks at; false: they have to be taken. */
MUST_CHECK bool reading_pass(struct reading *r, uint64_t n);
MUST_CHECK int reading_u32(struct reading *r, uint32_t *ret, struct err *e);
MUST_CHECK int reading_u64(struct reading *r, uint64_t *ret, struct err *e);
uint64_t reading_offset(const struct reading *r);

/* Opens an item at the current offset (minus `back` octets that were taken already) and tells. */
MUST_CHECK int reading_item(struct reading *r, enum stream_framing layer, uint32_t type,
                            const char *name, uint64_t bytes, size_t back, struct err *e);

/* Fills the refusal (item as it stands, the given offset, the rule) and e; returns -EPROTO.
 * A rule is one sentence that says what is there and what should be: "count 0, not 1 or more". */
int reading_refuse(struct reading *r, uint64_t offset, struct err *e, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* After -EPROTO from a record of a buffered epoch (not the first): the refusal matters only when that
 * epoch commits; keeps it, delivers nothing until then. commit then returns it; a break-off drops it. */
void reading_hold(struct reading *r);

MUST_CHECK int reading_begin(struct reading *r, struct err *e); /* facts are filled */
MUST_CHECK int reading_page(struct reading *r, const struct stream_page *page, struct err *e);
/* A whole blob at once; one piece of a blob; and one whose `total` octets are still in the input, which it takes. */
MUST_CHECK int reading_state(struct reading *r, const struct stream_state *whole, struct err *e);
MUST_CHECK int reading_state_piece(struct reading *r, const struct stream_state *piece, struct err *e);
MUST_CHECK int reading_state_from_input(struct reading *r, struct stream_state *blob, struct err *e);
MUST_CHECK int reading_param(struct reading *r, uint64_t index, uint64_t value, struct err *e);
MUST_CHECK int reading_note(struct reading *r, enum stream_note note, struct err *e);
MUST_CHECK int reading_recall(struct reading *r, uint64_t pfn, uint8_t *page, struct err *e);
MUST_CHECK int reading_commit(struct reading *r, struct err *e);
/* Lets go of what came since the last commit. */
MUST_CHECK int reading_drop(struct reading *r, struct err *e);

/* A packed image opens with IMAGE_BEGIN as its first libxc record (body of 8 octets, reserved) and
 * closes with IMAGE_END before the outermost END: u64 octets, u64 XXH3-64 of all octets from the first
 * one on, headers and configuration too, up to IMAGE_END's body. Both functions take the body. */
#define IMAGE_BEGIN_BYTES 8u
#define IMAGE_END_BYTES   16u
MUST_CHECK int reading_image_begin(struct reading *r, uint64_t bytes, struct err *e);
MUST_CHECK int reading_image_end(struct reading *r, uint64_t bytes, struct err *e);

/* True when a page may have this number. */
bool reading_pfn_fits(const struct reading *r, uint64_t pfn);

/* A reader: from the input's place to the end of its format. 0: ended by its own rules (also by a fail
 * over it handled itself), else as above. The legacy one says which state it ended with by commit. */
int reader_legacy(struct reading *r, struct err *e); /* legacy.c */
int reader_libxc(struct reading *r, struct err *e);  /* libxc_reader.c */
int reader_libxl(struct reading *r, struct err *e);  /* libxl_reader.c */
int reader_xl(struct reading *r, struct err *e);     /* xl_reader.c */

/* ---- for callers --------------------------------------------------------------------------------- */

/* The framing that the first octets show; takes none of them. */
MUST_CHECK int reading_detect(struct reading *r, enum stream_framing *ret, struct err *e);

/* Reads the whole stream into the consumer. 0: accepted (r->facts, checkpoints, is_complete);
 * -EPROTO: refused (r->refusal; e says it in words, with record, type, offset and rule); other -errno:
 * neither. Close r in any case. */
MUST_CHECK int reading_run(struct reading *r, struct stream_input *in, const struct stream_wishes *w,
                           struct consumer to, struct err *e);
void reading_close(struct reading *r); /* frees the table of pages; twice is fine */

const char *stream_framing_name(enum stream_framing f); /* "libxc" … */

#endif
