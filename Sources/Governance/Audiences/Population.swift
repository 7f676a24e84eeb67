/// Users whose conditions are evaluated together.
///
/// A part of a condition without `&&`, `||` and `!` is asked once of every user and kept; the rest is set algebra. So
/// the cost is the number of different parts times that of users, not of conditions or tables times that of users.
package struct Population: Sendable {
  /// For whom a condition is true and for whom it is false; for all others it fails.
  private struct Answer {
    var yes: UserSet
    var no: UserSet
  }

  /// By number.
  package let users: [UserFacts]
  private var answers: [String: Answer] = [:]

  package init(_ users: [UserFacts]) { self.users = users.sorted { $0.id < $1.id } }

  /// The users that a condition about users alone admits, by number. One that asks for a table admits nobody.
  package mutating func admitted(by condition: Condition) -> [UserID] {
    answer(condition.expression).yes.places.map { users[$0].id }
  }

  private mutating func answer(_ expression: ConditionExpression) -> Answer {
    switch expression {
    case .not(let operand):
      let answer = answer(operand)
      return Answer(yes: answer.no, no: answer.yes)
    case .and(let operands): return combined(operands, decisive: false)
    case .or(let operands): return combined(operands, decisive: true)
    default: return leaf(expression)
    }
  }

  /// The rules of CEL: who is decided by one operand is decided, who by none of them needs all the others.
  private mutating func combined(_ operands: [ConditionExpression], decisive: Bool) -> Answer {
    var result = everyone(decisive ? .literal(.bool(false)) : .literal(.bool(true)))
    for operand in operands {
      let answer = answer(operand)
      if decisive {
        result.yes.formUnion(answer.yes)
        result.no.formIntersection(answer.no)
      } else {
        result.yes.formIntersection(answer.yes)
        result.no.formUnion(answer.no)
      }
    }
    return result
  }

  private mutating func everyone(_ constant: ConditionExpression) -> Answer { leaf(constant) }

  private mutating func leaf(_ expression: ConditionExpression) -> Answer {
    let key = expression.text
    if let known = answers[key] { return known }
    var answer = Answer(yes: UserSet(count: users.count), no: UserSet(count: users.count))
    for (place, user) in users.enumerated() {
      do {
        if try ConditionEvaluator(user: user, table: nil).truth(of: expression) {
          answer.yes.insert(place)
        } else {
          answer.no.insert(place)
        }
      } catch {
        // CEL's error is an answer too: the user is in neither set.
        continue
      }
    }
    answers[key] = answer
    return answer
  }
}
