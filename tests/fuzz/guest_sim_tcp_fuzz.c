/* guest_sim_tcp_fuzz — frames into a guest's TCP endpoint: whatever comes, its records stay sound and its
 * pages prove themselves. Octets are orders: a segment close to what a connection expects (a fuzzer finds
 * no checksum), a raw frame, a leap of the clock, a word of memory spoiled as by a peer. */
#include "checkpoint/sim/guest_sim_tcp.h"

#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"

#define PAGES (GUEST_SIM_TCP_PAGES + 1u)

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes);

static uint8_t memory[PAGES * PAGE_BYTES] __attribute__((aligned(4096)));
static struct guest_sim_tcp tcp;
static struct guest_sim_tcp_turn turn;
static uint32_t own_next; /* after the newest segment that the guest sent */

static void hear(void *context, const uint8_t *frame, size_t bytes)
{
    struct packet_host peer = { .mac = { 2, 0, 0, 0, 0, 9 }, .ipv4 = { 10, 0, 0, 9 } };
    struct packet_segment s;

    (void)context;
    must(bytes <= PACKET_FRAME_MAX);
    if (packet_segment_get(frame, bytes, &peer, &s) == 0)
        own_next = (uint32_t)(s.seq + s.payload_bytes + !!(s.flags & TCP_SYN));
}

static void order_segment(const uint8_t order[8])
{
    static const uint8_t payload[PACKET_SEGMENT_MAX];
    struct packet_segment s = {
        .from = { .mac = { 2, 0, 0, 0, 0, 9 }, .ip_bytes = 4, .ip = { 10, 0, 0, 9 }, .port = order[1] % 10 },
        .to = { .ip_bytes = 4, .ip = { 10, 0, 0, 7 }, .port = order[1] < 250 ? 7 : order[1] },
        .flags = order[2],
        .seq = (uint32_t)(int8_t)order[3],
        .ack = own_next + (uint32_t)(int8_t)order[4],
        .window = (uint16_t)(order[5] * 257u),
        .payload = payload,
        .payload_bytes = (size_t)order[6] * 4,
        .mss = order[2] & TCP_SYN ? order[7] : 0,
    };
    uint8_t frame[PACKET_FRAME_MAX];

    memcpy(s.to.mac, tcp.me.mac, 6);
    guest_sim_tcp_input(&tcp, &turn, frame, packet_segment_put(frame, &s));
}

static void carry_out(const uint8_t order[8], const uint8_t *rest, size_t left)
{
    switch (order[0] % 8) {
    case 0:
        guest_sim_tcp_input(&tcp, &turn, rest, left < PACKET_FRAME_MAX ? left : PACKET_FRAME_MAX);
        break;
    case 1:
        turn.run_ns += order[1] * (NS_PER_S / 8);
        break;
    case 2:
        guest_sim_words_put(&tcp.words, load_u16(order + 1) % GUEST_SIM_TCP_SLOT_WORDS,
                            load_u32(order + 3), 0);
        break;
    default:
        order_segment(order);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes)
{
    struct guest_sim_spec spec;
    struct dirty log;
    struct err e;
    uint64_t sum;

    must(guest_sim_spec_parse("sim:f?workload=tcp&ip=10.0.0.7", &spec, &e) == 0);
    must(dirty_open(&log, PAGES, &e) == 0);
    memset(memory, 0, sizeof(memory));
    memset(&tcp, 0, sizeof(tcp));
    guest_sim_tcp_init(&tcp, &spec, memory, &log, 1);
    turn = (struct guest_sim_tcp_turn){ .nic = { hear, NULL } };
    for (; bytes >= 8; octets += 8, bytes -= 8) {
        carry_out(octets, octets + 8, bytes - 8);
        (void)guest_sim_tcp_tick(&tcp, &turn);
        (void)guest_sim_tcp_flush(&tcp, 0);
    }
    for (uint64_t pfn = 1; pfn < PAGES; pfn++)
        must(guest_sim_page_is_whole(memory + pfn * PAGE_BYTES, guest_sim_page_key(spec.seed, pfn), &sum));
    dirty_close(&log);
    return 0;
}
