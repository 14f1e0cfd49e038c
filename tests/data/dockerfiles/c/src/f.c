int f(){}
