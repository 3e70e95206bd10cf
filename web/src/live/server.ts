// A model that the page cannot run is asked of the server that gave the page out.

export interface Answer {
  expression: (number | null)[];
  embedding: (number | null)[];
  /** Squared norms over open tokens and passes. */
  edit: number;
  residual: number;
  touched: number;
  /** feature, tokens at which it fires, how strongly in all */
  fires: [number, number, number][];
}

export async function askServer(question: { cell: number; strengths: [number, number][]; control: number }): Promise<Answer> {
  const token = document.querySelector<HTMLMetaElement>('meta[name="cellprism-token"]')?.content ?? "";
  let answer: Response;
  try {
    answer = await fetch("steer", { method: "POST", headers: { "Content-Type": "application/json", "X-Cellprism-Token": token }, body: JSON.stringify(question) });
  } catch {
    throw new Error("the server of this page does not answer; start cellprism view again, and load the page from the address that it says");
  }
  const said = (await answer.json()) as Answer & { error?: string };
  if (!answer.ok) throw new Error(said.error ?? `the server answered ${answer.status}`);
  return said;
}
