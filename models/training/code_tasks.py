"""The programs that the demo model knows: one entry per task, one body per language.

Every body is complete: it compiles (C, Rust) or parses (Python, JavaScript) as it stands, which
evaluate.py checks with the compilers that it finds.
"""

TASKS = [
    {
        "phrases": [
            "calculate factorial",
            "calculate the factorial",
            "calculate the factorial of a number",
            "compute factorial",
        ],
        "noun": "factorial",
        "code": {
            "Python": """\
def factorial(n):
    result = 1
    for i in range(2, n + 1):
        result *= i
    return result
""",
            "C": """\
unsigned long factorial(unsigned n) {
    unsigned long result = 1;
    for (unsigned i = 2; i <= n; i++)
        result *= i;
    return result;
}
""",
            "Rust": """\
fn factorial(n: u64) -> u64 {
    (1..=n).product()
}
""",
            "JavaScript": """\
function factorial(n) {
  let result = 1;
  for (let i = 2; i <= n; i++) result *= i;
  return result;
}
""",
        },
    },
    {
        "phrases": [
            "calculate fibonacci numbers",
            "calculate fibonacci",
            "calculate Fibonacci numbers",
            "compute the nth fibonacci number",
        ],
        "noun": "fibonacci",
        "code": {
            "Python": """\
def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a
""",
            "C": """\
unsigned long fibonacci(unsigned n) {
    unsigned long a = 0, b = 1;
    while (n--) {
        unsigned long next = a + b;
        a = b;
        b = next;
    }
    return a;
}
""",
            "Rust": """\
fn fibonacci(n: u32) -> u64 {
    let (mut a, mut b) = (0, 1);
    for _ in 0..n {
        (a, b) = (b, a + b);
    }
    a
}
""",
            "JavaScript": """\
function fibonacci(n) {
  let [a, b] = [0, 1];
  while (n-- > 0) [a, b] = [b, a + b];
  return a;
}
""",
        },
    },
    {
        "phrases": [
            "check if a number is prime",
            "check whether a number is prime",
            "test if a number is prime",
            "check for prime numbers",
        ],
        "noun": "prime check",
        "code": {
            "Python": """\
def is_prime(n):
    if n < 2:
        return False
    for i in range(2, int(n ** 0.5) + 1):
        if n % i == 0:
            return False
    return True
""",
            "C": """\
#include <stdbool.h>

bool is_prime(unsigned n) {
    if (n < 2)
        return false;
    for (unsigned i = 2; i * i <= n; i++)
        if (n % i == 0)
            return false;
    return true;
}
""",
            "Rust": """\
fn is_prime(n: u64) -> bool {
    n > 1 && (2..).take_while(|i| i * i <= n).all(|i| n % i != 0)
}
""",
            "JavaScript": """\
function isPrime(n) {
  if (n < 2) return false;
  for (let i = 2; i * i <= n; i++) if (n % i === 0) return false;
  return true;
}
""",
        },
    },
    {
        "phrases": [
            "find the greatest common divisor",
            "calculate the gcd",
            "find the greatest common divisor of two numbers",
            "compute the gcd of two numbers",
        ],
        "noun": "gcd",
        "code": {
            "Python": """\
def gcd(a, b):
    while b:
        a, b = b, a % b
    return a
""",
            "C": """\
unsigned gcd(unsigned a, unsigned b) {
    while (b) {
        unsigned t = a % b;
        a = b;
        b = t;
    }
    return a;
}
""",
            "Rust": """\
fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
""",
            "JavaScript": """\
function gcd(a, b) {
  return b === 0 ? a : gcd(b, a % b);
}
""",
        },
    },
    {
        "phrases": ["reverse a string", "reverse a text"],
        "noun": "string reversal",
        "code": {
            "Python": """\
def reverse(text):
    return text[::-1]
""",
            "C": """\
#include <string.h>

void reverse(char *s) {
    for (size_t i = 0, j = strlen(s); i + 1 < j; i++) {
        char t = s[i];
        s[i] = s[--j];
        s[j] = t;
    }
}
""",
            "Rust": """\
fn reverse(text: &str) -> String {
    text.chars().rev().collect()
}
""",
            "JavaScript": """\
function reverse(text) {
  return [...text].reverse().join('');
}
""",
        },
    },
    {
        "phrases": [
            "check if a string is a palindrome",
            "check for palindromes",
            "check whether a string is a palindrome",
        ],
        "noun": "palindrome check",
        "code": {
            "Python": """\
def is_palindrome(text):
    return text == text[::-1]
""",
            "C": """\
#include <stdbool.h>
#include <string.h>

bool is_palindrome(const char *s) {
    for (size_t i = 0, j = strlen(s); i < j; i++)
        if (s[i] != s[--j])
            return false;
    return true;
}
""",
            "Rust": """\
fn is_palindrome(text: &str) -> bool {
    text.chars().eq(text.chars().rev())
}
""",
            "JavaScript": """\
function isPalindrome(text) {
  return text === [...text].reverse().join('');
}
""",
        },
    },
    {
        "phrases": ["sum a list of numbers", "sum numbers", "add up a list of numbers"],
        "noun": "sum",
        "code": {
            "Python": """\
def total(numbers):
    return sum(numbers)
""",
            "C": """\
#include <stddef.h>

long total(const int *numbers, size_t count) {
    long sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += numbers[i];
    return sum;
}
""",
            "Rust": """\
fn total(numbers: &[i64]) -> i64 {
    numbers.iter().sum()
}
""",
            "JavaScript": """\
function total(numbers) {
  return numbers.reduce((sum, x) => sum + x, 0);
}
""",
        },
    },
    {
        "phrases": [
            "find the largest number in a list",
            "find the maximum",
            "find the maximum of a list",
        ],
        "noun": "maximum",
        "code": {
            "Python": """\
def largest(numbers):
    return max(numbers)
""",
            "C": """\
#include <stddef.h>

int largest(const int *numbers, size_t count) {
    int best = numbers[0];
    for (size_t i = 1; i < count; i++)
        if (numbers[i] > best)
            best = numbers[i];
    return best;
}
""",
            "Rust": """\
fn largest(numbers: &[i64]) -> Option<i64> {
    numbers.iter().copied().max()
}
""",
            "JavaScript": """\
function largest(numbers) {
  return Math.max(...numbers);
}
""",
        },
    },
    {
        "phrases": ["sort a list with bubble sort", "sort a list", "bubble sort a list"],
        "noun": "bubble sort",
        "code": {
            "Python": """\
def bubble_sort(items):
    for end in range(len(items) - 1, 0, -1):
        for i in range(end):
            if items[i] > items[i + 1]:
                items[i], items[i + 1] = items[i + 1], items[i]
    return items
""",
            "C": """\
#include <stddef.h>

void bubble_sort(int *items, size_t count) {
    for (size_t end = count; end > 1; end--)
        for (size_t i = 0; i + 1 < end; i++)
            if (items[i] > items[i + 1]) {
                int t = items[i];
                items[i] = items[i + 1];
                items[i + 1] = t;
            }
}
""",
            "Rust": """\
fn bubble_sort(items: &mut [i64]) {
    for end in (1..items.len()).rev() {
        for i in 0..end {
            if items[i] > items[i + 1] {
                items.swap(i, i + 1);
            }
        }
    }
}
""",
            "JavaScript": """\
function bubbleSort(items) {
  for (let end = items.length - 1; end > 0; end--)
    for (let i = 0; i < end; i++)
      if (items[i] > items[i + 1]) [items[i], items[i + 1]] = [items[i + 1], items[i]];
  return items;
}
""",
        },
    },
    {
        "phrases": [
            "search a sorted list with binary search",
            "do a binary search",
            "search a sorted list",
        ],
        "noun": "binary search",
        "code": {
            "Python": """\
def binary_search(items, target):
    low, high = 0, len(items)
    while low < high:
        mid = (low + high) // 2
        if items[mid] < target:
            low = mid + 1
        else:
            high = mid
    return low if low < len(items) and items[low] == target else -1
""",
            "C": """\
#include <stddef.h>

long binary_search(const int *items, size_t count, int target) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (items[mid] < target)
            low = mid + 1;
        else
            high = mid;
    }
    return low < count && items[low] == target ? (long)low : -1;
}
""",
            "Rust": """\
fn binary_search(items: &[i64], target: i64) -> Option<usize> {
    items.binary_search(&target).ok()
}
""",
            "JavaScript": """\
function binarySearch(items, target) {
  let low = 0, high = items.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (items[mid] < target) low = mid + 1;
    else high = mid;
  }
  return items[low] === target ? low : -1;
}
""",
        },
    },
    {
        "phrases": ["print hello world", "print Hello, world!", "say hello world"],
        "noun": "hello world",
        "code": {
            "Python": """\
print("Hello, world!")
""",
            "C": """\
#include <stdio.h>

int main(void) {
    puts("Hello, world!");
    return 0;
}
""",
            "Rust": """\
fn main() {
    println!("Hello, world!");
}
""",
            "JavaScript": """\
console.log("Hello, world!");
""",
        },
    },
    {
        "phrases": ["play fizzbuzz", "do fizzbuzz", "print fizzbuzz"],
        "noun": "fizzbuzz",
        "code": {
            "Python": """\
def fizzbuzz(n):
    if n % 15 == 0:
        return "FizzBuzz"
    if n % 3 == 0:
        return "Fizz"
    if n % 5 == 0:
        return "Buzz"
    return str(n)
""",
            "C": """\
#include <stdio.h>

void fizzbuzz(int n) {
    if (n % 15 == 0)
        puts("FizzBuzz");
    else if (n % 3 == 0)
        puts("Fizz");
    else if (n % 5 == 0)
        puts("Buzz");
    else
        printf("%d\\n", n);
}
""",
            "Rust": """\
fn fizzbuzz(n: u32) -> String {
    match (n % 3, n % 5) {
        (0, 0) => "FizzBuzz".into(),
        (0, _) => "Fizz".into(),
        (_, 0) => "Buzz".into(),
        _ => n.to_string(),
    }
}
""",
            "JavaScript": """\
function fizzbuzz(n) {
  if (n % 15 === 0) return 'FizzBuzz';
  if (n % 3 === 0) return 'Fizz';
  if (n % 5 === 0) return 'Buzz';
  return String(n);
}
""",
        },
    },
]
