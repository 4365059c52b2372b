/* Runs the library on the vectors that the firmware carries and prints what came out, one JSON object per line.
 * Exit code: wrong output bytes (at most EXIT_MOST), EXIT_LAYERS if only inner layers were wrong. */
#include "firmware_config.h"

#include <string.h>

#include "counter.h"
#include "print.h"
#include "startup.h"

#define EXIT_MOST 99u
#define EXIT_LAYERS 100u
#define POISON 0xA5

static firmware_net_t net;
static uint32_t vector;
static uint32_t wrong_layers;

static void print_count(const counter_t *count)
{
    print(", \"count\": [");
    print_number(count->high);
    print(", ");
    print_number(count->low);
    print(", ");
    print_number(count->interrupts);
    print("]");
}

#ifdef MCUGEN_LAYER_HOOK
/* CRC-32 of zlib, four bits at a time. */
static uint32_t crc32(const uint8_t *data, uint32_t size)
{
    static const uint32_t table[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
        0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
        0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
    };
    uint32_t crc = 0xFFFFFFFFu;
    for (uint32_t i = 0u; i < size; i++) {
        crc ^= data[i];
        crc = (crc >> 4) ^ table[crc & 15u];
        crc = (crc >> 4) ^ table[crc & 15u];
    }
    return ~crc;
}

/* Called by the library after each layer; -1 measures the call itself. */
void MCUGEN_LAYER_HOOK(const int8_t *arena, int32_t layer)
{
    counter_t count;
    counter_stop(&count);
    if (vector == 0u) {
        print("{\"layer\": ");
        if (layer < 0) {
            print("-1");
        } else {
            print_number((uint32_t)layer);
        }
        print_count(&count);
        print("}\n");
    }
    if (layer >= 0 && layer < FIRMWARE_NET_LAYERS && firmware_net_layers[layer].compared != 0u) {
        const uint8_t *output = (const uint8_t *)arena + firmware_net_layers[layer].offset;
        const uint8_t *expected = &firmware_layer_crcs[4u * (vector * FIRMWARE_NET_LAYERS + (uint32_t)layer)];
        uint32_t crc = crc32(output, firmware_net_layers[layer].bytes);
        for (uint32_t i = 0u; i < 4u; i++, crc >>= 8) {
            if ((crc & 255u) != expected[i]) {
                wrong_layers++;
                print("{\"wrong_layer\": [");
                print_number(vector);
                print(", ");
                print_number((uint32_t)layer);
                print("]}\n");
                break;
            }
        }
    }
    counter_start();
}
#endif

static void nothing(firmware_net_t *unused)
{
    (void)unused;
}

/* The same instructions around every `run`, so that those around `nothing` can be subtracted. */
__attribute__((noinline)) static void measure(void (*volatile run)(firmware_net_t *), counter_t *count)
{
    counter_start();
    run(&net);
    counter_stop(count);
}

static uint32_t run_vector(const uint8_t *input, const uint8_t *output)
{
    counter_t count;
    uint32_t wrong = 0u;
    for (uint32_t i = 0u; i < FIRMWARE_NET_INPUTS; i++) {
        memcpy(firmware_net_input(&net, i), input, firmware_net_input_bytes[i]);
        input += firmware_net_input_bytes[i];
    }
    measure(FIRMWARE_NET_RUN, &count);
    for (uint32_t i = 0u; i < FIRMWARE_NET_OUTPUTS; i++) {
        const uint8_t *got = (const uint8_t *)firmware_net_output(&net, i);
        for (uint32_t j = 0u; j < firmware_net_output_bytes[i]; j++) {
            wrong += got[j] != *output++ ? 1u : 0u;
        }
    }
    print("{\"vector\": ");
    print_number(vector);
    print(", \"wrong_bytes\": ");
    print_number(wrong);
    print_count(&count);
    print("}\n");
    return wrong;
}

int main(void)
{
    counter_t count;
    uint32_t wrong = 0u;

    memset(net.arena, POISON, sizeof net.arena);
    FIRMWARE_NET_RESET(&net);
    measure(nothing, &count);
    print("{\"empty\": true");
    print_count(&count);
    print("}\n");
#ifdef MCUGEN_LAYER_HOOK
    counter_start();
    MCUGEN_LAYER_HOOK(net.arena, -1); /* its end starts the counter as for the first layer */
    MCUGEN_LAYER_HOOK(net.arena, -1);
#endif
    for (vector = 0u; vector < FIRMWARE_NET_VECTORS; vector++) {
        wrong += run_vector(&firmware_inputs[vector * FIRMWARE_NET_INPUT_BYTES],
                            &firmware_outputs[vector * FIRMWARE_NET_OUTPUT_BYTES]);
    }
    print("{\"end\": true, \"stack\": ");
    print_number(startup_stack_used());
    print("}\n");
    if (wrong == 0u) {
        return wrong_layers == 0u ? 0 : (int)EXIT_LAYERS;
    }
    return (int)(wrong < EXIT_MOST ? wrong : EXIT_MOST);
}
