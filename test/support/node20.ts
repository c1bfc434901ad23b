/**
 * Vitest's reporter groups failures with `Map.groupBy`, which Node has from version 21 on. Without it a failing run
 * on Node 20 hides what failed.
 */
const groupBy = <K, V>(items: Iterable<V>, keyOf: (item: V, index: number) => K): Map<K, Array<V>> => {
  const groups = new Map<K, Array<V>>()
  let index = 0
  for (const item of items) {
    const key = keyOf(item, index++)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}

if (!("groupBy" in Map))
  Object.defineProperty(Map, "groupBy", { value: groupBy, writable: true, configurable: true })
