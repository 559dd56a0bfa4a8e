/* A Modbus TCP server of libmodbus: holding register 0x34 holds 1803, input 0 is set. Prints its port. */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    modbus_t *context = modbus_new_tcp("127.0.0.1", 0);
    modbus_mapping_t *mapping = modbus_mapping_new(16, 16, 128, 128);
    mapping->tab_registers[0x34] = 1803;
    mapping->tab_input_bits[0] = 1;
    int listener = modbus_tcp_listen(context, 1);
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        modbus_tcp_accept(context, &listener);
        for (;;) {
            int got = modbus_receive(context, query);
            if (got > 0) modbus_reply(context, query, got, mapping);
            else if (got == -1) break;
        }
        modbus_close(context);
    }
}
