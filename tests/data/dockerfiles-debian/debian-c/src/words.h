const char *first(void);
