/* guest_sim_nic — see guest_sim_nic.h. Every index into the outbox is taken modulo its size and every
 * loop is bounded by it: after an activation the page's octets came from a peer. */
#include "checkpoint/sim/guest_sim_nic.h"

#include "base/clock.h"
#include "checkpoint/sim/guest_sim_memory.h"

/* Words of the page. */
enum {
    SEQ = SIM_PAGE_CONTENT, /* of the newest payload */
    ACKED,                  /* all up to it have arrived */
    NUMBER,                 /* of the newest frame */
    CHAIN,                  /* after payload SEQ */
    CHAIN_ACKED,            /* after payload ACKED */
    OUTBOX = 16
};
enum { SLOT_PAYLOAD, SLOT_CHAIN, SLOT_STEPS, SLOT_SENT_NS, SLOT_WORDS };

static uint64_t word(const struct guest_sim_nic *nic, size_t i)
{
    return guest_sim_page_word(nic->page, i);
}

static size_t slot_of(uint64_t seq)
{
    return OUTBOX + (size_t)(seq % GUEST_SIM_OUTBOX) * SLOT_WORDS;
}

static uint64_t waiting(const struct guest_sim_nic *nic)
{
    uint64_t n = word(nic, SEQ) - word(nic, ACKED);

    return n < GUEST_SIM_OUTBOX ? n : GUEST_SIM_OUTBOX;
}

static uint64_t chain_before_first(const struct guest_sim_nic *nic)
{
    return frame_chain_start(nic->domain, nic->vcpu);
}

static void take_ack(const struct guest_sim_nic *nic, struct guest_sim_edit *edit, uint64_t acked)
{
    guest_sim_edit_put(edit, CHAIN_ACKED, word(nic, slot_of(acked) + SLOT_CHAIN));
    guest_sim_edit_put(edit, ACKED, acked);
}

static void send(const struct guest_sim_nic *nic, struct guest_sim_edit *edit, uint64_t seq,
                 uint8_t flags, uint64_t run_ns, struct guest_sim_nic_sent *ret)
{
    size_t slot = slot_of(seq);

    guest_sim_edit_put(edit, NUMBER, word(nic, NUMBER) + 1);
    guest_sim_edit_put(edit, slot + SLOT_SENT_NS, run_ns);
    ret->frames[ret->count++] = (struct frame){
        .domain = nic->domain,
        .vcpu = nic->vcpu,
        .flags = flags,
        .boot = nic->boot,
        .number = word(nic, NUMBER),
        .seq = seq,
        .chain = word(nic, slot + SLOT_CHAIN),
        .payload = word(nic, slot + SLOT_PAYLOAD),
        .steps = word(nic, slot + SLOT_STEPS),
    };
}

static void add_payload(const struct guest_sim_nic *nic, struct guest_sim_edit *edit,
                        const struct guest_sim_nic_round *round)
{
    uint64_t seq = word(nic, SEQ) + 1;
    uint64_t before = seq == 1 ? chain_before_first(nic) : word(nic, CHAIN);
    size_t slot = slot_of(seq);

    if (seq == 1)
        guest_sim_edit_put(edit, CHAIN_ACKED, before);
    guest_sim_edit_put(edit, SEQ, seq);
    guest_sim_edit_put(edit, CHAIN, frame_chain(before, round->payload));
    guest_sim_edit_put(edit, slot + SLOT_PAYLOAD, round->payload);
    guest_sim_edit_put(edit, slot + SLOT_CHAIN, word(nic, CHAIN));
    guest_sim_edit_put(edit, slot + SLOT_STEPS, round->steps);
}

/* When a waiting payload is due again; a time ahead of now (nonsense from a peer) is due at once. */
static uint64_t again_due(const struct guest_sim_nic *nic, uint64_t seq, uint64_t run_ns)
{
    uint64_t sent_ns = word(nic, slot_of(seq) + SLOT_SENT_NS);

    return sent_ns > run_ns ? 0 : sent_ns + GUEST_SIM_AGAIN_NS;
}

static uint64_t next_again_due(const struct guest_sim_nic *nic, uint64_t run_ns)
{
    uint64_t first = word(nic, SEQ) - waiting(nic) + 1, due = TIME_NEVER;

    for (uint64_t i = 0; i < waiting(nic); i++)
        if (again_due(nic, first + i, run_ns) < due)
            due = again_due(nic, first + i, run_ns);
    return due;
}

void guest_sim_nic_turn(const struct guest_sim_nic *nic, const struct guest_sim_nic_round *round,
                        struct guest_sim_nic_sent *ret)
{
    struct guest_sim_edit edit;
    bool has_ack;

    ret->count = 0;
    ret->sum_delta = 0;
    ret->changed = false;
    guest_sim_edit_begin(&edit, nic->page, nic->key);
    has_ack = round->acked - word(nic, ACKED) - 1 < waiting(nic); /* ACKED < acked <= SEQ */
    if (has_ack)
        take_ack(nic, &edit, round->acked);
    for (uint64_t n = waiting(nic), seq = word(nic, SEQ) - n + 1; n > 0; n--, seq++)
        if (again_due(nic, seq, round->run_ns) <= round->run_ns)
            send(nic, &edit, seq, FRAME_AGAIN, round->run_ns, ret);
    if (round->wants_new && waiting(nic) < GUEST_SIM_OUTBOX) {
        add_payload(nic, &edit, round);
        send(nic, &edit, word(nic, SEQ), 0, round->run_ns, ret);
    }
    if (has_ack || ret->count > 0) {
        ret->sum_delta = guest_sim_edit_end(&edit, round->steps);
        ret->changed = true;
    }
    ret->again_due_ns = next_again_due(nic, round->run_ns);
}

bool guest_sim_nic_is_sound(const struct guest_sim_nic *nic)
{
    uint64_t seq = word(nic, SEQ), acked = word(nic, ACKED);
    uint64_t chain = word(nic, CHAIN_ACKED);

    if (seq == 0)
        return acked == 0 && word(nic, NUMBER) == 0;
    if (acked > seq || seq - acked > GUEST_SIM_OUTBOX || word(nic, NUMBER) < seq ||
        (acked == 0 && chain != chain_before_first(nic)))
        return false;
    for (uint64_t i = acked + 1; i <= seq; i++) {
        chain = frame_chain(chain, word(nic, slot_of(i) + SLOT_PAYLOAD));
        if (chain != word(nic, slot_of(i) + SLOT_CHAIN))
            return false;
    }
    return chain == word(nic, CHAIN);
}
