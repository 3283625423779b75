// Before AssemblyScript's own types, where it is an alias: TypeScript 7 wants an interface, and the first declaration counts.
interface Number extends _Float {}
