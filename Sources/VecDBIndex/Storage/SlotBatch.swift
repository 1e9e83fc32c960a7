/// Slots that are inserted into the graph together, in ascending order. A node's number in the batch
/// is its place.
struct SlotBatch {
  let slots: [UInt32]

  init(_ range: Range<Int>) { slots = range.map { UInt32($0) } }

  init(_ slots: some Sequence<UInt32>) { self.slots = slots.sorted() }

  var count: Int { slots.count }

  subscript(place: Int) -> Int { Int(slots[place]) }

  /// A slot's place; nil where it is not in the batch.
  func place(of slot: UInt32) -> Int? {
    guard let first = slots.first, let last = slots.last, first <= slot, slot <= last else {
      return nil
    }
    // Mostly consecutive.
    let guess = Int(slot - first)
    if guess < slots.count, slots[guess] == slot { return guess }
    var (low, high) = (0, slots.count)
    while low < high {
      let middle = (low + high) / 2
      if slots[middle] == slot { return middle }
      if slots[middle] < slot { low = middle + 1 } else { high = middle }
    }
    return nil
  }
}
