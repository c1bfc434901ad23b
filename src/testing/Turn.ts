/**
 * A client's turn on the session that all clients of a sandbox share: from its first message until nothing of it is open.
 *
 * Its statements are passed on; those that begin and end transactions are answered here. The session is always inside a
 * savepoint: what the client commits is checked as a commit would, and a new savepoint follows; what fails or is rolled back
 * goes back to the savepoint, so that nothing poisons the transaction around it.
 */
import { Buffer } from "node:buffer"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import { split } from "../statement/Split.ts"
import * as Messages from "./Messages.ts"
import type { Client } from "./SandboxClient.ts"
import * as Statements from "./Statements.ts"
import type { Upstream } from "./Upstream.ts"

/** What outlives a turn. */
export interface Shared {
  readonly upstream: Upstream
  mayDefer: boolean
  /** The settings that the session has now. */
  settings: ReadonlyMap<string, string>
  /** So many names of statements and portals were given. */
  names: number
  /** When the client that has its turn or the server had its last message passed on, in milliseconds. */
  lastActive: number
  /** Whether other clients wait. */
  readonly isWanted: () => boolean
}

/** A statement or a portal of a client. */
interface Known {
  /** Its name on the session: short, of which the server keeps 63 bytes, and none that SQL has without quotes. */
  readonly at: string
  readonly meaning: Statements.Meaning | undefined
}

/** A client with the statements that it has prepared. */
export interface Named {
  readonly client: Client
  readonly statements: Map<string, Known>
}

/** So many bytes wait for a slow client while others want their turn. */
export const mostBytes = 64 * 1024 * 1024

/** What the server says of a statement that cannot be a part of a transaction. */
const cannot = /^(?:25001|2D000)$/
const aborted = Messages.error(
  "25P02",
  "current transaction is aborted, commands ignored until end of transaction block"
)

const sync = Messages.message("S")
const answers = {
  parsed: Messages.message("1"),
  bound: Messages.message("2"),
  closed: Messages.message("3"),
  parameters: Messages.message("t", Buffer.alloc(2)),
  noRows: Messages.message("n"),
  nothing: Messages.message("I")
}
const none = Buffer.alloc(0)

const isSame = (left: ReadonlyMap<string, string>, right: ReadonlyMap<string, string>): boolean =>
  left.size === right.size && Array.from(left).every(([name, value]) => right.get(name) === value)

/** Goes back to the savepoint. Where that cannot be, the sandbox is lost. */
const rollBack = ({ upstream }: Shared): Effect.Effect<void> =>
  Effect.map(upstream.run(Statements.undo), (error) => {
    if (error !== undefined) upstream.session.destroy()
  })

/** Serves the client from its first message on; ends when nothing of it is open, or it has left. */
export const turn = Effect.fnUntraced(function* (
  shared: Shared,
  named: Named,
  first: Buffer
): Effect.fn.Return<void, Cause.Done> {
  const { client } = named
  const { upstream } = shared
  const { socket } = upstream.session
  const { statements } = named
  /** The unnamed portal, which the next one replaces, has no name there either. */
  const portals = new Map<string, Known>([["", { at: "", meaning: undefined }]])
  const localNames = new Set<string>()
  let output: Array<Buffer> = []
  /** The client's transaction is open, and has failed. */
  let isOpen = false
  let hasFailed = false
  /** The same of the statements since the last `Sync`: they have done something, and one of them has failed. */
  let isDirty = false
  let isSkipping = false
  /** The server waits for a `Sync`; and which of its answers to `Close` the client is to see. */
  let isPassing = false
  let closes: Array<boolean> = []

  const write = (bytes: Buffer): void => {
    output.push(bytes)
  }
  /** A slow client holds the server back, unless others want their turn. */
  const give = (): void => {
    const bytes = Buffer.concat(output)
    output = []
    if (bytes.length === 0 || !client.socket.writable || client.socket.write(bytes)) return
    if (shared.isWanted() && client.socket.writableLength < mostBytes) return
    socket.pause()
    client.socket.once("drain", () => socket.resume())
  }
  const fail = (error: Buffer): void => {
    write(Messages.withHint(error, cannot, Statements.advice))
    isSkipping = true
  }
  const givenName = (at: string): string | undefined => {
    for (const [name, known] of [...statements, ...portals]) if (known.at === at) return name
    return undefined
  }
  upstream.receive = (message) => {
    const type = Messages.typeOf(message)
    if (type === "E") return fail(Messages.withName(message, givenName))
    if (type === "G") onCopyIn()
    if (type !== "3" || closes.shift() !== false) write(message)
  }
  upstream.onPause = () => {
    shared.lastActive = Date.now()
    give()
  }

  const pass = (type: string, texts: ReadonlyArray<string>, rest: Uint8Array = none): void => {
    isPassing = true
    upstream.pass(Messages.message(type, ...texts.map(Messages.cString), rest))
  }
  let onCopyIn = (): void => undefined
  const passData = (message: Buffer): void => {
    shared.lastActive = Date.now()
    const type = Messages.typeOf(message)
    if ("dcf".includes(type)) upstream.pass(message)
    // The server takes no notice of these two; anything else ends the COPY.
    else if (!"HS".includes(type)) pass("f", ["the client has sent something else"])
  }
  /** Passes the client's data on when the server asks for them in the middle of a simple query. */
  const copyIn = Effect.callback<void>((resume) => {
    onCopyIn = () => resume(Effect.void)
  }).pipe(
    // No message is taken that is not passed on.
    Effect.andThen(
      Effect.forever(
        Effect.uninterruptibleMask((restore) => Effect.map(restore(Queue.take(client.messages)), passData))
      )
    ),
    Effect.catch(() =>
      Effect.andThen(
        Effect.sync(() => pass("f", ["the client has left"])),
        Effect.never
      )
    ),
    Effect.interruptible
  )
  /** Waits until the server is ready again. */
  const settled = (ready: Effect.Effect<string>) =>
    Effect.map(ready, (status) => {
      isPassing = false
      isDirty = true
      closes = []
      if (status === "T") hasFailed = false
      else if (status !== "E") upstream.session.destroy()
    })
  const flush = Effect.suspend(() => (isPassing ? settled(upstream.finish(sync)) : Effect.void))
  const run = (...texts: ReadonlyArray<string>) =>
    Effect.map(upstream.run(...texts), (error) => {
      if (error !== undefined) fail(error)
      return error === undefined
    })
  const commit = Effect.suspend(() =>
    run(
      ...(shared.mayDefer ? [Statements.checkDeferred] : []),
      ...Array.from(localNames, Statements.bringBack),
      Statements.release,
      Statements.enter
    )
  )

  const end = Effect.fnUntraced(function* (commits: boolean) {
    const isCommitted = commits && !hasFailed && (yield* commit)
    if (!isCommitted) yield* rollBack(shared)
    localNames.clear()
    isOpen = false
    hasFailed = false
    isDirty = false
    return isCommitted
  })

  /** Does what a statement about transactions says. */
  const perform = Effect.fnUntraced(function* ({ kind, tag, text }: Statements.Local) {
    if (kind === "commit" || kind === "rollback") {
      const isCommitted = yield* end(kind === "commit")
      if (!isSkipping) write(Messages.message("C", Messages.cString(isCommitted ? "COMMIT" : "ROLLBACK")))
    } else if (hasFailed) fail(aborted)
    else if (text === "" || (yield* run(text))) {
      if (kind === "begin") isOpen = true
      if (kind === "deallocate") statements.clear()
      write(Messages.message("C", Messages.cString(tag)))
    }
  })

  /** Remembers the settings that a statement is about to set for its transaction. */
  const remember = Effect.fnUntraced(function* (meaning: Statements.Meaning | undefined, bound?: Buffer) {
    if (meaning?.kind === "reset") shared.settings = new Map()
    const given = meaning?.kind === "set" ? meaning.names : []
    const values = bound !== undefined && given.some(Statements.isParameter) ? Messages.parameters(bound) : []
    const names = given
      .map((name) => (Statements.isParameter(name) ? (values[Number(name.slice(1)) - 1] ?? "") : name))
      .filter((name) => name !== "")
    if (names.length === 0) return
    yield* flush
    if (isSkipping || !(yield* run(...names.map(Statements.keep)))) return
    for (const name of names) localNames.add(name)
  })

  const onQuery = Effect.fnUntraced(function* (script: string) {
    const parts = Array.from(split(script))
    if (parts.length === 0) write(answers.nothing)
    for (const { text } of parts) {
      const meaning = Statements.meaningOf(text)
      if (isSkipping) return
      if (Statements.isLocal(meaning)) yield* perform(meaning)
      else {
        shared.mayDefer ||= Statements.mayDefer(text)
        yield* remember(meaning)
        if (isSkipping) return
        const query = Messages.message("Q", Messages.cString(text))
        yield* settled(Effect.raceFirst(upstream.finish(query), copyIn))
      }
    }
  })

  const onSync = Effect.gen(function* () {
    yield* flush
    if (isOpen) hasFailed ||= isSkipping
    else if (isSkipping) yield* end(false)
    else if (isDirty) yield* end(true)
    isSkipping = false
    write(Messages.message("Z", Buffer.from(isOpen ? (hasFailed ? "E" : "T") : "I")))
  })

  /** Gives the name on the session, which stays the same for one that comes again. */
  const know = (known: Map<string, Known>, name: string, meaning: Known["meaning"]): string => {
    const at = known.get(name)?.at ?? `sandbox ${++shared.names}`
    known.set(name, { at, meaning })
    return at
  }
  /** One that the client has not given is SQL's own, or missing. */
  const nameOf = (known: ReadonlyMap<string, Known>, name: string): string => known.get(name)?.at ?? name

  const onStatement = Effect.fnUntraced(function* (message: Buffer) {
    const [[name = "", text = ""], rest] = Messages.texts(message, 2)
    const meaning = Statements.meaningOf(text)
    const isLocal = Statements.isLocal(meaning)
    if (isLocal) yield* flush
    if (isSkipping) return
    const at = know(statements, name, meaning)
    if (isLocal) return write(answers.parsed)
    shared.mayDefer ||= Statements.mayDefer(text)
    closes.push(false)
    pass("C", [`S${at}`])
    pass("P", [at, text], rest)
  })

  const onMessage = Effect.fnUntraced(function* (message: Buffer) {
    const type = Messages.typeOf(message)
    if (type === "P") return yield* onStatement(message)
    const [[one = "", other = ""], rest] = Messages.texts(message, type === "B" ? 2 : 1)
    const [kind, name] = [one.charAt(0), one.slice(1)]
    const isStatement = kind === "S"
    const known = isStatement ? statements : portals
    const { meaning } =
      (type === "B" ? statements.get(other) : type === "E" ? portals.get(one) : known.get(name)) ?? {}
    const isLocal = "BEDC".includes(type) && Statements.isLocal(meaning)
    if (isLocal) yield* flush
    if (isSkipping) return
    const target = kind + nameOf(known, name)
    switch (type) {
      case "B": {
        const at = know(portals, one, meaning)
        if (isLocal) return write(answers.bound)
        yield* remember(meaning, rest)
        if (isSkipping) return
        return pass("B", [at, nameOf(statements, other)], rest)
      }
      case "E":
        return isLocal ? yield* perform(meaning) : pass("E", [nameOf(portals, one)], rest)
      case "D":
        if (!isLocal) return pass("D", [target])
        if (isStatement) write(answers.parameters)
        return write(answers.noRows)
      case "C":
        if (isLocal) return write(answers.closed)
        closes.push(true)
        return pass("C", [target])
      default:
        return pass(type, [], message.subarray(5))
    }
  })

  /** Behind a client that has left in the middle nothing stays. */
  const abandon = Effect.gen(function* () {
    socket.resume()
    // It may have been in a COPY; elsewhere the server takes no notice.
    if (isPassing) pass("f", ["the client has left"])
    yield* flush
    yield* end(false)
  })

  const serve = Effect.gen(function* () {
    if (!isSame(shared.settings, client.settings)) {
      const texts = Statements.adopt(shared.settings, client.settings)
      shared.settings = new Map()
      if (yield* run(...texts, Statements.release, Statements.enter)) shared.settings = client.settings
    }
    for (let message = first; ; message = yield* Effect.interruptible(Queue.take(client.messages))) {
      shared.lastActive = Date.now()
      const type = Messages.typeOf(message)
      if (type === "Q") yield* onQuery(Messages.texts(message, 1)[0][0] ?? "")
      if (type === "Q" || type === "S") yield* onSync
      else yield* onMessage(message)
      give()
      shared.lastActive = Date.now()
      if (!isOpen && !isPassing && (type === "S" || type === "Q")) return
    }
  })
  yield* Effect.onError(serve, () => abandon)
})
