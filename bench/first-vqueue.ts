/** Writes the image of the first vqueue to the standard output: compiled in a process of its own, so that the one that measures has not compiled anything. */
import { image } from "../test/check/images.ts";

process.stdout.write((await image("turns")).image);
