/** Names that constants and types of the API cannot have: they are names in a JavaScript module and its types. */

/** Words of the language. */
const WORDS = `arguments await break case catch class const continue debugger default delete do else enum eval export extends false
  finally for function if implements import in instanceof interface let new null package private protected public return static super
  switch this throw true try typeof undefined var void while with yield`;
/** What API libraries use themselves. */
const GLOBALS = `Array ArrayBuffer BigInt CallableFunction DataView Host Math Object Readonly Record Result Set String Uint16Array
  Uint8Array WeakMap atob library`;

const TAKEN = new Set(`${WORDS} ${GLOBALS}`.split(/\s+/));

export function isApiName(name: string): boolean {
  return /^[A-Za-z_]\w*$/.test(name) && !TAKEN.has(name);
}
