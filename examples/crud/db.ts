// Written from the database by `npx effect-global-pool types`. What is changed here is lost at its next run.

export type Role = "reader" | "author"

/** People who write, or may. */
export interface Authors {
  readonly id: number
  /** What they log in with. */
  readonly email: string
  readonly name: string
  readonly role: Role
  readonly joined: Date
}

/** A row to be stored in authors. */
export interface AuthorsInsert {
  /** What they log in with. */
  readonly email: string
  readonly name: string
  readonly role?: Role | undefined
  readonly joined?: Date | string | undefined
}

export interface Posts {
  readonly id: string
  readonly author: number
  readonly title: string
  readonly body: string
  readonly tags: ReadonlyArray<string | null>
  readonly views: number
  readonly words: number | null
  readonly published: Date | null
}

/** A row to be stored in posts. */
export interface PostsInsert {
  readonly id?: string | undefined
  readonly author: number
  readonly title: string
  readonly body: string
  readonly tags?: ReadonlyArray<string | null> | undefined
  readonly views?: number | bigint | string | undefined
  readonly published?: Date | string | null | undefined
}

export interface PublishedPosts {
  readonly id: string | null
  readonly title: string | null
  readonly author: string | null
  readonly views: number | null
  readonly published: Date | null
}

/** The tables of the database: `PG.make<Tables>(…)`. */
export interface Tables {
  readonly authors: { readonly row: Authors; readonly insert: AuthorsInsert }
  readonly posts: { readonly row: Posts; readonly insert: PostsInsert }
  readonly published_posts: { readonly row: PublishedPosts; readonly insert: never }
}
