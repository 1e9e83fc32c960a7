import Foundation
import VecDB
import VecDBShapes

// usage: vecdb-shapes DIRECTORY METRIC SHAPE… ; --list names the shapes.
// VECDB_CODES sets IndexOptions.codes. For each shape writes DIRECTORY/SHAPE-METRIC/{*.f32,found.json}; scripts/bench --shapes judges.

let arguments = Array(CommandLine.arguments.dropFirst())
if arguments.first == "--list" {
  for shape in Shape.all { print(shape.name) }
  exit(0)
}
guard arguments.count >= 2, let metric = Metric(rawValue: arguments[1]) else {
  FileHandle.standardError.write(Data("usage: vecdb-shapes DIRECTORY METRIC [SHAPE…]\n".utf8))
  exit(2)
}
let wanted = Set(arguments.dropFirst(2))
for shape in Shape.all where wanted.isEmpty || wanted.contains(shape.name) {
  let directory = arguments[0] + "/" + shape.name + "-" + metric.rawValue
  let run = ShapeRun(
    shape: shape, metric: metric, data: ShapeData(shape, queries: 200), directory: directory,
    rounds: 3,
    codes: ProcessInfo.processInfo.environment["VECDB_CODES"].flatMap(VectorCodes.init)
      ?? .automatic)
  let encoder = JSONEncoder()
  let found = try await run.run()
  try encoder.encode(found).write(to: URL(fileURLWithPath: directory + "/found.json"))
  print(shape.name, metric.rawValue)
}
