/** A process that counts: takes chunks, counts each where it lies, and gives the buffer back. */
import vqueue from "../../generated/vqueue/vqueue.js";
import wordcount from "../../generated/wordcount/wordcount.js";
import { attach, type Process } from "../../runtime/process/index.ts";
import { Messages } from "./messages.ts";

const queues = attach(vqueue);
const counts = attach(wordcount);

export default function main(self: Process): void {
  const [chunks, free] = self.argv.map((queue) => new Messages(queues, Number(queue))) as [Messages, Messages];
  for (;;) {
    const message = chunks.receive(self);
    if (message?.kind !== "chunk") return;
    const { buffer, bytes, start } = message;
    counts.count(buffer, bytes, start);
    free.send({ kind: "free", buffer });
  }
}
