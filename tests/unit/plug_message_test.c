/* plug_message_test — what is said to the kernel, octet by octet where it matters, and that no answer can
 * be read past its end. */
#include "netbuf/plug_message.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/gen_stats.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

#define HANDLE UINT32_C(0x52500000)

static struct tcmsg head_of(struct nl_msg *m)
{
    struct tcmsg head;

    memcpy(&head, nlmsg_data(nlmsg_hdr(m)), sizeof(head));
    return head;
}

/* A plug without options, or with a limit of 0, would drop everything or hold a few frames only: kind,
 * action and limit are all in the message that makes it. */
static void plug_is_made_with_its_limit_in_the_same_message(UNUSED void **state)
{
    static const uint8_t want[] = {
        60, 0, 0, 0, RTM_NEWQDISC, 0, 0x00, 0x06, 0, 0, 0, 0, 0, 0, 0, 0, /* CREATE, EXCL */
        0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0x50, 0x52, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0,
        9, 0, TCA_KIND, 0, 'p', 'l', 'u', 'g', 0, 0, 0, 0,
        12, 0, TCA_OPTIONS, 0, TCQ_PLUG_LIMIT, 0, 0, 0, 0x78, 0x56, 0x34, 0x12,
    };
    struct nl_msg *m = plug_message_plug_new(7, HANDLE, 0x12345678, false);
    uint8_t got[sizeof(want)];

    assert_non_null(m);
    assert_int_equal(nlmsg_hdr(m)->nlmsg_len, sizeof(want));
    memcpy(got, nlmsg_hdr(m), sizeof(got));
    memset(got + 8, 0, 8);             /* sequence number and port are the socket's */
    got[6] = (uint8_t)(got[6] & 0xf0); /* as are REQUEST and ACK */
    assert_memory_equal(got, want, sizeof(want));
    nlmsg_free(m);
}

static void orders_change_our_own_plug_and_never_make_one(UNUSED void **state)
{
    for (int action = PLUG_BUFFER; action <= PLUG_LIMIT; action++) {
        struct nl_msg *m = plug_message_plug_change(7, HANDLE, (enum plug_action)action, 9);
        struct nlattr *options = nlmsg_find_attr(nlmsg_hdr(m), sizeof(struct tcmsg), TCA_OPTIONS);
        struct tc_plug_qopt order;

        assert_int_equal(nlmsg_hdr(m)->nlmsg_flags & (NLM_F_CREATE | NLM_F_REPLACE | NLM_F_EXCL), 0);
        assert_int_equal(head_of(m).tcm_handle, HANDLE);
        assert_int_equal(head_of(m).tcm_parent, TC_H_ROOT);
        assert_int_equal(nla_len(options), sizeof(order));
        memcpy(&order, nla_data(options), sizeof(order));
        assert_int_equal(order.action, action);
        assert_int_equal(order.limit, 9);
        nlmsg_free(m);
    }
}

/* The kernel's own answer to a dump looks like the request, so the parser reads what the builder built. */
static void redirect_is_for_every_protocol_first_of_all_and_to_our_ifb(UNUSED void **state)
{
    for (int by = PLUG_MATCHALL; by <= PLUG_U32; by++) {
        struct nl_msg *m = plug_message_redirect_new(7, 12, (enum plug_classifier)by);
        struct plug_filter f;

        assert_int_equal(head_of(m).tcm_parent, 0xfffffff2);
        assert_int_equal(head_of(m).tcm_info & 0xffff, htons(ETH_P_ALL));
        assert_int_equal(plug_message_filter_parse(nlmsg_hdr(m), &f), 0);
        assert_int_equal(f.priority, PLUG_FILTER_PRIORITY);
        assert_true(f.is_redirect);
        assert_int_equal(f.to, 12);
        assert_string_equal(f.kind, by == PLUG_U32 ? "u32" : "matchall");
        nlmsg_free(m);
    }
}

static void redirect_of_some_protocols_only_is_not_taken_for_ours(UNUSED void **state)
{
    struct nl_msg *m = plug_message_redirect_new(7, 12, PLUG_MATCHALL);
    struct tcmsg head = head_of(m);
    struct plug_filter f;

    head.tcm_info = TC_H_MAKE(1u << 16, htons(ETH_P_IP));
    memcpy(nlmsg_data(nlmsg_hdr(m)), &head, sizeof(head));
    assert_int_equal(plug_message_filter_parse(nlmsg_hdr(m), &f), 0);
    assert_false(f.is_redirect);
    nlmsg_free(m);
}

static void ifb_is_made_up_and_a_link_is_read_back(UNUSED void **state)
{
    struct nl_msg *m = plug_message_ifb_new("rp-vif1", 100);
    struct plug_link l;

    assert_int_equal(plug_message_link_parse(nlmsg_hdr(m), &l), 0);
    assert_string_equal(l.name, "rp-vif1");
    assert_string_equal(l.kind, "ifb");
    assert_true(l.is_up);
    assert_false(l.is_gone);
    nlmsg_free(m);
}

static void a_port_says_whose_it_is(UNUSED void **state)
{
    struct nl_msg *m = plug_message_ifb_new("vif1.0", 100);
    struct plug_link l;
    struct nlattr *about;

    assert_int_equal(plug_message_link_parse(nlmsg_hdr(m), &l), 0);
    assert_int_equal(l.master, 0);
    assert_string_equal(l.port_kind, "");
    nlmsg_free(m);
    m = nlmsg_alloc_simple(RTM_NEWLINK, 0);
    assert_true(nlmsg_append(m, &(struct ifinfomsg){ .ifi_index = 5 }, sizeof(struct ifinfomsg), NLMSG_ALIGNTO) >= 0);
    assert_true(nla_put_string(m, IFLA_IFNAME, "vif1.0") >= 0);
    assert_true(nla_put_u32(m, IFLA_MASTER, 77) >= 0);
    about = nla_nest_start(m, IFLA_LINKINFO);
    assert_true(nla_put_string(m, IFLA_INFO_SLAVE_KIND, "bridge") >= 0);
    nla_nest_end(m, about);
    assert_int_equal(plug_message_link_parse(nlmsg_hdr(m), &l), 0);
    assert_int_equal(l.master, 77);
    assert_string_equal(l.port_kind, "bridge");
    nlmsg_free(m);
}

static struct nl_msg *qdisc_answer(void)
{
    const struct tcmsg head = { .tcm_ifindex = 9, .tcm_handle = HANDLE, .tcm_parent = TC_H_ROOT };
    const struct gnet_stats_basic basic = { .packets = 100 };
    const struct gnet_stats_queue queue = { .qlen = 3, .backlog = 400, .drops = 5 };
    struct nl_msg *m = nlmsg_alloc_simple(RTM_NEWQDISC, 0);
    struct tcmsg copy = head;
    struct nlattr *statistics;

    assert_true(nlmsg_append(m, &copy, sizeof(copy), NLMSG_ALIGNTO) >= 0);
    assert_true(nla_put_string(m, TCA_KIND, "plug") >= 0);
    statistics = nla_nest_start(m, TCA_STATS2);
    assert_true(nla_put(m, TCA_STATS_BASIC, sizeof(basic), &basic) >= 0);
    assert_true(nla_put(m, TCA_STATS_QUEUE, sizeof(queue), &queue) >= 0);
    nla_nest_end(m, statistics);
    return m;
}

static void counters_of_a_plug_are_read(UNUSED void **state)
{
    struct nl_msg *m = qdisc_answer();
    struct plug_qdisc q;

    assert_int_equal(plug_message_qdisc_parse(nlmsg_hdr(m), &q), 0);
    assert_string_equal(q.kind, "plug");
    assert_int_equal(q.handle, HANDLE);
    assert_int_equal(q.held_frames, 3);
    assert_int_equal(q.held_bytes, 400);
    assert_int_equal(q.dropped_frames, 5);
    assert_int_equal(q.passed_frames, 100);
    nlmsg_free(m);
}

static void message_of_another_type_is_refused(UNUSED void **state)
{
    struct nl_msg *m = qdisc_answer();
    struct plug_link l;
    struct plug_filter f;

    assert_int_equal(plug_message_link_parse(nlmsg_hdr(m), &l), -EPROTO);
    assert_int_equal(plug_message_filter_parse(nlmsg_hdr(m), &f), -EPROTO);
    nlmsg_free(m);
}

/* Cut and changed at random, in memory of just that size: a sanitizer sees what is read too far. */
static void no_octets_lead_a_parser_past_their_end(UNUSED void **state)
{
    struct rng rng;

    rng_seed(&rng, 3);
    for (unsigned i = 0; i < 20000; i++) {
        struct nl_msg *m = i % 3 == 0 ? qdisc_answer()
                           : i % 3 == 1 ? plug_message_redirect_new(7, 12, PLUG_U32)
                                        : plug_message_ifb_new("rp-vif1", 100);
        size_t whole = nlmsg_hdr(m)->nlmsg_len, bytes = NLMSG_HDRLEN + rng_below(&rng, whole - NLMSG_HDRLEN + 1);
        struct nlmsghdr *h = test_malloc(bytes);
        union {
            struct plug_link link;
            struct plug_qdisc qdisc;
            struct plug_filter filter;
        } any;

        memcpy(h, nlmsg_hdr(m), bytes);
        h->nlmsg_len = (uint32_t)bytes;
        for (unsigned k = 0; k < 4 && bytes > NLMSG_HDRLEN; k++)
            ((uint8_t *)h)[NLMSG_HDRLEN + rng_below(&rng, bytes - NLMSG_HDRLEN)] = (uint8_t)rng_next(&rng);
        (void)!plug_message_link_parse(h, &any.link);
        (void)!plug_message_qdisc_parse(h, &any.qdisc);
        (void)!plug_message_filter_parse(h, &any.filter);
        test_free(h);
        nlmsg_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plug_is_made_with_its_limit_in_the_same_message),
        cmocka_unit_test(orders_change_our_own_plug_and_never_make_one),
        cmocka_unit_test(redirect_is_for_every_protocol_first_of_all_and_to_our_ifb),
        cmocka_unit_test(redirect_of_some_protocols_only_is_not_taken_for_ours),
        cmocka_unit_test(ifb_is_made_up_and_a_link_is_read_back),
        cmocka_unit_test(a_port_says_whose_it_is),
        cmocka_unit_test(counters_of_a_plug_are_read),
        cmocka_unit_test(message_of_another_type_is_refused),
        cmocka_unit_test(no_octets_lead_a_parser_past_their_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
