// A function to call in another thread.
export const add = (a, b) => a + b;
