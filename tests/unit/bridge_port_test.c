/* bridge_port — the one message it sends, octet by octet. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/attr.h"
#include "netbuf/bridge_port.h"

static void the_bridge_learns_an_entry_that_ages_in_place_of_an_older_one(UNUSED void **state)
{
    static const uint8_t mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };
    struct nl_msg *m = bridge_port_learn_message(9, mac);
    struct nlattr *address;
    struct ndmsg head;

    assert_non_null(m);
    assert_int_equal(nlmsg_hdr(m)->nlmsg_type, RTM_NEWNEIGH);
    assert_int_equal(nlmsg_hdr(m)->nlmsg_flags & (NLM_F_CREATE | NLM_F_REPLACE | NLM_F_EXCL),
                     NLM_F_CREATE | NLM_F_REPLACE);
    memcpy(&head, nlmsg_data(nlmsg_hdr(m)), sizeof(head));
    assert_int_equal(head.ndm_family, PF_BRIDGE);
    assert_int_equal(head.ndm_ifindex, 9);
    assert_int_equal(head.ndm_state, NUD_REACHABLE); /* not NUD_PERMANENT, NUD_NOARP: it must age */
    assert_int_equal(head.ndm_flags, NTF_MASTER);    /* the bridge's table, not the interface's own */
    address = nlmsg_find_attr(nlmsg_hdr(m), sizeof(head), NDA_LLADDR);
    assert_non_null(address);
    assert_int_equal(nla_len(address), 6);
    assert_memory_equal(nla_data(address), mac, 6);
    nlmsg_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bridge_learns_an_entry_that_ages_in_place_of_an_older_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
