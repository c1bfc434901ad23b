/** The smallest program for `process.ts`: prints its arguments and stays. */
process.stdout.write(`${process.argv.slice(2).join(" ")}\n`)
process.stdin.resume()
