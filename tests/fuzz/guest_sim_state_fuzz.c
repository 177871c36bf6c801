/* guest_sim_state_fuzz — a simulated guest's state records from a peer: refused, or put back the same. */
#include "checkpoint/sim/guest_sim_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes)
{
    struct guest_sim_registers first, second;
    struct guest_sim_spec spec;
    uint8_t records[1024];
    struct sink to = { records, sizeof(records) };
    struct err e;

    must(guest_sim_spec_parse("sim:f?vcpus=2", &spec, &e) == 0);
    if (guest_sim_state_get(octets, bytes, &spec, &first, &e) < 0)
        return 0;
    must(guest_sim_state_put(&to, &first, &e) == 0);
    must(guest_sim_state_get(records, sizeof(records) - to.left, &spec, &second, &e) == 0);
    must(first.run_ns == second.run_ns && first.cpus[1].memory_sum == second.cpus[1].memory_sum);
    return 0;
}
