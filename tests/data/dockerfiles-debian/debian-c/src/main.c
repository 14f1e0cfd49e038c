#include <stdio.h>
#include "words.h"

int main(void) {
    printf("%s world\n", first());
    return 0;
}
