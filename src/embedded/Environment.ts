/** What a process needs from ours; nothing that would change how Postgres behaves (`PG…`, `LANG`). */
export const environment = (): NodeJS.ProcessEnv => {
  const kept = ["PATH", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SystemRoot", "TEMP", "TMP"]
  const own = Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))
  )
  return { ...own, LC_ALL: "C" }
}
