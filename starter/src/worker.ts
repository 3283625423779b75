/** What each process runs: attached while it loads, at work in the default export. */
import { attach, current } from "wasm-vdso/process";
import library from "../generated/__name__/__name__.js";

const api = attach(library);

export default function main(): void {
  const { pid, argv } = current();
  for (let i = Number(argv[0]); i > 0; i--) api.add(1);
  console.log(`process ${pid} counted ${api.ownCount()}`);
}
