/**
 * An object whose members are made when they are first asked for, by name. Each is its own from then on, so that no trap stands between a call and its
 * function; none is listed, since which were asked for says nothing. No member looks like a promise's `then`: such objects are awaited like any value.
 */
export function membersOnDemand(make: (name: string) => unknown): object {
  const prototype = new Proxy(
    {},
    {
      get(_, name) {
        if (typeof name !== "string" || name === "then") return undefined;
        const value = make(name);
        Reflect.defineProperty(members, name, { value });
        return value;
      },
      set: () => false,
    },
  );
  const members: object = Object.create(prototype);
  return members;
}
