/** Writes the image of the first vqueue to the standard output: compiled in a process of its own, so that in the one that measures Binaryen has not started. */
import { image } from "../test/check/images.ts";

process.stdout.write((await image("turns")).image);
