/** A row that was created, updated or deleted. Of a deleted row `record` has the primary key alone. */
export interface Change<Row = Record<string, unknown>> {
  action: "create" | "update" | "delete";
  /** The table, without its schema. */
  table: string;
  record: Row;
}

/** These tables have to be fetched: the stream has opened, or changes were lost. Every change after that follows. */
export interface Reset {
  action: "reset";
  reason: string;
  tables: string[];
}

/** The server has refused these tables, and the subscription has ended. */
export interface Denied {
  action: "denied";
  reason: string;
  tables: string[];
}

/** Which rows and columns of the tables. */
export interface Choice {
  /** `column=operator.value`, with commas between several, which must all hold; see docs/protocol.md. */
  filter?: string | string[];
  /** The columns of each record, besides its key. */
  fields?: string | string[];
}

export type Status = "connecting" | "live" | "offline" | "denied";

export interface Options {
  /** The address of the stream; "/api/realtime" by default. */
  url?: string;
  /**
   * Return a token that is good now, each time; nothing if there is none. One with a scheme ("Token 9944b…") is sent as it
   * is, others as Bearer. Without this the session's cookie counts.
   */
  token?: () => string | null | undefined | Promise<string | null | undefined>;
  /**
   * What only tabs of the same user have in common, such as the user's id: they share one stream. By default the claims of the
   * JWT, where one is `sub` or `user_id`; tabs with other tokens or with a session each have their own. False: never share.
   */
  tabs?: string | false;
  /** The server's HEARTBEAT_SECONDS; 15 by default. A stream that is silent two and a half times as long is opened again. */
  heartbeatSeconds?: number;
  /** Further options of each fetch, such as `{ credentials: "include" }` for a session at another origin. */
  fetchOptions?: RequestInit;
}

/** The changes of a page's tables, over one stream, which comes back by itself. */
export declare class Realtime {
  /** Null counts as not given, of the options and of each of them. */
  constructor(options?: Options | null);
  readonly status: Status;
  /** Why the status is "offline" or "denied"; otherwise "". */
  readonly message: string;
  /** Called when `status` or `message` has changed. */
  onstatus: ((status: Status, message: string) => void) | null;
  /** Call back for each change of these tables; return a function that ends that. */
  subscribe<Row = Record<string, unknown>>(
    tables: string | string[],
    callback: (event: Change<Row> | Reset | Denied) => void,
    options?: Choice | null,
  ): () => void;
  /** Return the rows of a table, kept as SELECT would return them. key: the columns of its primary key; "id" by default. */
  live<Row = Record<string, unknown>>(table: string, options?: (Choice & { key?: string | string[] }) | null): Live<Row>;
  /** Open the stream again now, as after a log-in that follows "denied". */
  reconnect(): void;
  /** End all subscriptions. */
  close(): void;
}

/** The rows of a table as SELECT would return them. They are read while there is a subscription. */
export interface Live<Row = Record<string, unknown>> {
  /** The rows by their key; of several columns, it is a JSON array of their values. */
  readonly rows: Map<any, Row>;
  readonly status: Status;
  /** Called when `status` has changed. */
  onstatus: ((status: Status) => void) | null;
  /** Call back with the rows after each change, and with null when they have been read; return a function that ends that. */
  subscribe(callback: (rows: Map<any, Row>, change: Change<Row> | null) => void): () => void;
}

/** An event of a stream, as text/event-stream has it. */
export interface ServerSentEvent {
  type: string;
  data: string;
  lastEventId: string;
}

/** Reads the events of a stream from its bytes. */
export declare class EventParser {
  constructor(lastEventId?: string);
  /** The id that the stream continues after. */
  lastEventId: string;
  /** The last `retry`, in milliseconds. */
  retry: number | null;
  /** Read the next bytes, which may end anywhere; return the events that they complete. */
  push(bytes: Uint8Array): ServerSentEvent[];
}
