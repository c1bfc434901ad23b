create type role as enum ('reader', 'author');

create table authors (
  id int primary key generated always as identity,
  email text not null unique,
  name text not null,
  role role not null default 'reader',
  joined timestamptz not null default now()
);
comment on table authors is 'People who write, or may.';
comment on column authors.email is 'What they log in with.';

create table posts (
  id uuid primary key default gen_random_uuid(),
  author int not null references authors on delete cascade,
  title text not null,
  body text not null,
  tags text[] not null default '{}',
  views int8 not null default 0,
  words int generated always as (array_length(regexp_split_to_array(trim(body), '\s+'), 1)) stored,
  published timestamptz
);

create view published_posts as
  select p.id, p.title, a.name as author, p.views, p.published
  from posts p join authors a on a.id = p.author
  where p.published <= now();
